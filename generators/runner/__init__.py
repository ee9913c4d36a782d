"""The model child: takes models from the shelf, runs batches, gives texts their seats. Torch.

  process  its entry, `python -m generators.runner --fd N`, and how a batch runs
  shelf    the models on offer and in memory      halving  batches too large for memory, in parts
  seats    texts that join and leave at any step  answers  from what a model gave to an outcome

`generators.serving` is the line between it and its worker.
"""
