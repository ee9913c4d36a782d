"""The trainer: data to weights.

    atelier dataset import my_pictures --out data/mine --licence "CC BY 4.0"
    atelier train lora_pictures --data data/mine --out runs/mine      # Ctrl-C, then --resume
    atelier models add ours generators/starter/diffusion --adapter mine=runs/mine/weights

then `/imagine model:ours+mine` draws with it. A run's folder holds `progress.json` (where it
stands), `metrics.csv`, `held_out.csv`, `loss.png`, `samples/`, `tensorboard/`, `checkpoints/` (to
resume) and at last `weights/` with their card. `--init` starts from weights by folder, model name
or hub id; `--lora` trains an adapter over them; `--devices N` uses several GPUs.

Map: `contract.py` and `catalog.py` (no torch: recipes, manifests, reports), `__main__.py` (the
child process and its JSON events), `datasets.py` (its dataset commands), `loop.py` (the one loop,
on accelerate), `beginning.py` (what a run starts from), `feeding.py` (batches ahead), `readings.py`
(losses, and what is due), `journal.py` (what a run writes down), `optimizers.py` (Muon + AdamW,
schedules, averages), `adapters.py` (LoRA), `initial.py` (`--init`), `launch.py` (`--devices`),
`checkpoints.py`, `export.py`, `data/` (manifest -> batches, starter datasets), `objectives/` (loss
and step), `evaluation/`, `recipes/` (TOML, only what differs).

To add a training:
1. If the objective exists, write `recipes/<name>.toml`: it is found by its name.
2. Else write `objectives/<name>.py` with a pydantic `Settings` and a class `Objective` that
   follows `trainer.objective.Objective`, plus `recipes/tiny_<name>.toml` (seconds on a CPU).
The tests validate every recipe, run two steps of each tiny one and load what they export.
"""
