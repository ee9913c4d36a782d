"""Writing the weights' folder of a finished run, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from trainer.contract import TrainingError
from trainer.objective import Objective


def write_weights(objective: Objective, folder: Path, figures: dict[str, float]) -> None:
    """Export into a temporary folder beside `folder`, then rename it there (replacing an old one).

    Raises TrainingError where the disk is full or cannot be written; the old folder stays.
    """
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        objective.export(temporary, figures)
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(f"The weights could not be written to {folder}: {error}.") from error
