"""One file per generator, same stem as its spec: the network, its sampler call, its `Model` class.

Torch lives here. Only `generators.runner` imports these modules, by name and at run time.
"""
