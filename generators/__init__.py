"""Weights to media: everything that turns params and a seed into a picture, a text or a sound.

Two halves. The light half imports no torch and may be read by anybody: `contract` (what a
generator is),
`catalog` (which there are), `registry` (which weights the host offers), `engine` (how jobs travel),
`artifacts` (where media lie), `worker` (the supervisor). The heavy half runs in one child process
only:
`runner` holds the `models`, which stand on `runtime`, `sampling` and `nn`.

To add a generator, add two files with the same stem:
  `specs/x.py`   a `SPEC` (GeneratorSpec) and its `Params`; no torch
  `models/x.py`  a `Model` class with `load` and `generate`; torch
Options, command line, web form and the contract battery find it by walking `specs`.
"""
