"""Weights to media: everything that turns params and a seed into a picture, a text or a sound.

Two halves. The light half imports no torch: `contract` (what a generator is), `catalog` (which
there are), `params` (inputs that several share), `registry` and `models_file` (which weights the
host offers), `engine` (how jobs travel), `artifacts` (where media lie), and `worker` (the process
that leases jobs, batches them and keeps the model child alive). The heavy half runs in that child
only: `runner` (or `__main__`, for one request without a server) takes models from its shelf, runs
batches and gives texts their seats; the `models` stand on `runtime`, `sampling`, `nn` (networks)
and `writing` (texts, token by token). `serving` is the line between the two.

To add a generator, add two files with the same stem:
  `specs/x.py`   a `SPEC` (GeneratorSpec) and its `Params`; no torch
  `models/x.py`  a `Model` class with `load` and `generate` (and `open`, where its spec says
                 `continuous`: requests then join and leave while others run); torch
Options, command line, web form and the contract battery find it by walking `specs`; the battery
wants a tiny set of weights for it (`tests/generators/conftest.py`).
"""
