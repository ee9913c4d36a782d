"""What the host may say about the web. No web library is imported here."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class WebSettings(BaseSettings):
    """`ATELIER_WEB_*`. Where the server listens and what it is called from outside."""

    model_config = SettingsConfigDict(
        env_prefix="ATELIER_WEB_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    bind: str = Field(
        default="127.0.0.1:8080",
        pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$",
        description="host:port of the web server.",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/]+.*)?$",
        description="The address people use when a proxy stands before the studio.",
    )
    studio: bool = Field(default=True, description="Whether the browser studio is served.")
    guests_per_hour: int = Field(
        default=300,
        ge=1,
        le=1_000_000,
        description="New guests that one network address may bring per hour.",
    )
