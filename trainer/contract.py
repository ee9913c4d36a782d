"""What training is made of, in plain values: the recipe, the dataset's manifest, the report.

No torch here: the gateway and the command line read recipes and manifests, and draw what the
training child reports, without ever loading a model library. Everybody may import this module.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Modality = Literal["image", "text", "audio"]
Split = Literal["train", "held_out"]
Precision = Literal["fp32", "bf16", "fp16"]
MANIFEST_NAME = "manifest.json"
PROGRESS_NAME = "progress.json"


class TrainingError(Exception):
    """Training cannot start or go on; the message is a sentence for the person who started it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Example(_Frozen):
    """One file of a dataset.

    A picture or a sound is one example with its captions by language: the first phrase of a
    language is the full name, the others are keywords. A text example is a `.txt` file (one text)
    or a `.jsonl` file (one text a line, see `trainer.data.text`) and needs no captions.
    """

    file: str = Field(description="path relative to the manifest, with forward slashes")
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    captions: dict[str, list[str]] = {}
    labels: dict[str, str | int | float] = Field(
        default={}, description="facts that an objective knows by name, e.g. a sound's pitch"
    )
    split: Split = "train"

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if not value or path.is_absolute() or ".." in path.parts or "\\" in value:
            raise ValueError(f"{value!r} must be a relative path inside the dataset")
        return value


class DatasetManifest(_Frozen):
    """`manifest.json`: what a dataset holds, where it comes from, under which licence."""

    name: str = Field(min_length=1, max_length=80)
    modality: Modality
    licence: str = Field(min_length=1, description="under which terms the examples may be used")
    source: str = ""
    notice: str = Field(default="", description="licence text that must travel with weights")
    examples: list[Example]


class OptimizerSettings(_Frozen):
    """Muon (Jordan et al., 2024) for hidden matrices, AdamW for all other parameters."""

    lr: float = Field(default=2e-3, gt=0, le=1, description="peak rate of both optimizers")
    muon: bool = Field(default=True, description="false: AdamW for every parameter")
    muon_weight_decay: float = Field(default=0.01, ge=0, le=1)
    adamw_weight_decay: float = Field(default=0.01, ge=0, le=1)
    adamw_beta2: float = Field(default=0.95, gt=0, lt=1)
    lr_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    final_lr_ratio: float = Field(default=0.02, ge=0, le=1, description="of the peak, at the end")
    clip_norm: float = Field(default=1.0, gt=0, description="global gradient norm")


class AdapterSettings(_Frozen):
    """LoRA (Hu et al., 2021, arXiv:2106.09685): weights stay, two thin matrices beside them learn.

    What is exported is the adapter alone, a few hundred KB to be loaded over the same base.
    """

    rank: int = Field(default=16, ge=1, le=512, description="inner width of the two matrices")
    alpha: float = Field(default=32.0, gt=0, description="the change is scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] = Field(
        default=[],
        description="ends of layer names; empty: every linear layer of a language "
        "model, the attention of a diffusion model",
    )
    text_encoder: bool = Field(default=False, description="diffusion: adapt the words' net too")


class Recipe(_Frozen):
    """How to turn a dataset into weights. A recipe file states only what differs from here."""

    objective: str = Field(pattern="^[a-z][a-z0-9_]*$", description="a module of objectives/")
    summary: str = Field(min_length=1, max_length=200)
    seed: int = Field(default=0, ge=0, lt=2**32)
    total_steps: int = Field(default=1000, ge=1, le=10_000_000, description="optimizer steps")
    batch_size: int = Field(default=32, ge=1, le=4096, description="per device and micro-step")
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=1024)
    precision: Precision = "bf16"
    optimizer: OptimizerSettings = OptimizerSettings()
    ema_decay: float = Field(default=0.999, ge=0, lt=1, description="0 switches the average off")
    checkpoint_every_s: float = Field(default=300, gt=0, description="seconds between checkpoints")
    sample_every_s: float = Field(default=240, gt=0, description="seconds between sample sheets")
    evaluate_every_s: float = Field(
        default=600, gt=0, description="seconds between looks at the held-out examples"
    )
    init: str = Field(default="", description="weights to start from where no --init is given")
    adapter: AdapterSettings | None = Field(default=None, description="train a LoRA, not all")
    settings: dict[str, Any] = Field(default={}, description="read by the objective, typed there")
    prompts: list[str] = Field(default=[], max_length=64, description="of the sample sheets")
    about: dict[str, str] = Field(default={}, description="language -> a sentence on the weights")
    limits: dict[str, Any] = Field(default={}, description="added to the weights' own limits")
    defaults: dict[str, Any] = Field(default={}, description="params that suit the weights")
    parts: dict[str, str] = Field(default={}, description="other weights that they need")


class TrainingReport(_Frozen):
    """What a finished run leaves beside its weights (`report.json`)."""

    recipe: str
    dataset: str
    licence: str
    optimizer_steps: int
    examples_seen: int
    train_s: float
    parameters: int
    figures: dict[str, float]
    versions: dict[str, str]


class RunProgress(_Frozen):
    """Where a run stands (`progress.json` in its folder), for whoever looks on: a page, a bot.

    Replaced whole about once a second. A run that was killed still says `running`: take it for
    dead when `updated_at` is older than a few minutes (a checkpoint of a large model takes long).
    """

    recipe: str
    state: Literal["running", "finished", "stopped", "failed"]
    step: int
    total: int
    loss: float | None = None
    examples_per_s: float | None = None
    eta_s: float | None = None
    figures: dict[str, float] = Field(default={}, description="the latest held-out figures")
    sample: str = Field(default="", description="newest sample file, relative to the run's folder")
    message: str = Field(default="", description="why it stopped or failed, for people")
    updated_at: float = Field(description="seconds since 1970, UTC")


def read_progress(run: Path) -> RunProgress | None:
    """The progress of the run in this folder; None where there is none (yet), or it is broken."""
    try:
        return RunProgress.model_validate_json((run / PROGRESS_NAME).read_bytes())
    except (OSError, ValueError):
        return None
