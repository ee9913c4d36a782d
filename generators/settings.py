"""What a worker may be told by its host: `ATELIER_*` in the environment or in `.env`. No torch.

Read once by the composition roots (`generators.worker`, `generators.runner`, and the gateway's own
settings, which compose this class and report names nobody knows).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "ATELIER_"


class GeneratorSettings(BaseSettings):
    """Settings of the room `generators`. Unknown names are the concern of who composes this."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    data_dir: Path = Field(default=Path("data"), description="Folder for everything that is kept.")
    artifacts_url: str = Field(
        default="",
        description="Where media lie: a folder or an fsspec URL; empty means DATA_DIR/artifacts.",
    )
    models_file: Path | None = Field(
        default=None, description="The host's list of models; empty means DATA_DIR/models.toml."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="Where models run: auto, cpu, mps, cuda or cuda:N.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Number format of the weights; auto suits device and model."
    )
    threads: int = Field(
        default=0, ge=0, le=1024, description="CPU threads of the model child; 0 lets torch decide."
    )
    nice: int = Field(
        default=5, ge=0, le=19, description="How far the model child stands back for the gateway."
    )
    model_memory_bytes: int = Field(
        default=0,
        ge=0,
        description="Memory for loaded models; 0 means most of what the device has.",
    )
    preload: bool = Field(
        default=True, description="Whether the default models are loaded before the first request."
    )
    batch_window_ms: int = Field(
        default=20, ge=0, le=1000, description="How long a first request waits for companions."
    )
    max_strikes: int = Field(
        default=3, ge=1, le=10, description="How often a job may stop its worker before it fails."
    )
    heartbeat_s: float = Field(
        default=5.0, gt=0, le=60, description="Seconds between two signs of life for each held job."
    )
    stall_s: float = Field(
        default=900.0,
        gt=0,
        description="Seconds without progress after which a model is restarted.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="How log lines look; auto is console on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important kind of line that is written."
    )

    @property
    def artifacts(self) -> str:
        """The artifact store's folder or URL, for `artifacts.open_store`."""
        return self.artifacts_url or str(self.data_dir / "artifacts")

    @property
    def models_path(self) -> Path:
        """The host's `models.toml`; it need not exist."""
        return self.models_file or self.data_dir / "models.toml"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, so that a child reads exactly what we read."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {PREFIX + name.upper(): _as_text(value) for name, value in values.items()}


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
