"""The generation worker's process: leases jobs, forms batches, keeps the model child. No torch.

process     its entry: `python -m generators.worker --fd N`, as the local engine starts it
supervisor  its loops: lease, batch or seat, child, store, result
holding     the jobs in its hands      batching    which of those that wait run together
child       its model process (`generators.runner`), started again when it dies
"""
