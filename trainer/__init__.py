"""The trainer: data to weights.

Map: `contract.py` and `catalog.py` (no torch: recipes, manifests, reports), `__main__.py` (the
child process and its JSON events), `loop.py` (the one loop, on accelerate), `optimizers.py`
(Muon + AdamW, schedules, averages), `checkpoints.py`, `export.py`, `data/` (manifest -> batches,
starter datasets), `objectives/` (loss and step), `recipes/` (TOML, only what differs).

To add a training:
1. If the objective exists, write `recipes/<name>.toml`: it is found by its name.
2. Else write `objectives/<name>.py` with a pydantic `Settings` and a class `Objective` that
   follows `trainer.objective.Objective`, plus `recipes/tiny_<name>.toml` (seconds on a CPU).
The tests validate every recipe, run two steps of each tiny one and load what they export.
"""
