"""Texts written a token at a time, whatever the network: continuous batching. Torch.

  rows      one text being written; what a model is given to read and what is shown of it
  memories  what a network remembers of its rows: key-value caches, per row or per batch
  session   the loop: join, step, choose, leave

Used by the text families in `generators.models`; a family brings its network and a `Memory`.
"""
