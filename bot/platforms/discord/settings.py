"""What the host may say about Discord. No client library is imported here."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DiscordSettings(BaseSettings):
    """`ATELIER_DISCORD_*`. Without a token, Discord is simply switched off."""

    model_config = SettingsConfigDict(
        env_prefix="ATELIER_DISCORD_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    token: SecretStr | None = Field(
        default=None, description="The bot's token from the developer portal."
    )
    api_base: str = Field(
        default="https://discord.com/api/v10",
        pattern=r"^https?://",
        description="Where Discord's API is; used as it is.",
    )
