"""Objectives: a loss, a step, a sample sheet and an export each; one module, one `Objective` class.

The loop (`trainer.loop`) owns everything that does not differ between them: optimizers, precision,
devices, averages, checkpoints, progress. Modules here never import each other.
"""
