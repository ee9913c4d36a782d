"""What the host may say about Discord. No client library is imported here."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

INTERACTIONS_PATH: Final = "/discord/interactions"
"""Where the web server takes interactions when there is a public key."""


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
    public_key: str = Field(
        default="",
        pattern=r"^([0-9a-fA-F]{64})?$",
        description="The application's public key (64 hexadecimal digits): interactions are then "
        "taken on /discord/interactions of the web server, and no gateway connection is made.",
    )
    communities: Annotated[tuple[PositiveInt, ...], NoDecode] = Field(
        default=(),
        description="Ids of the only communities that get the commands, separated by commas, to "
        "try them out; empty offers them everywhere.",
    )

    @field_validator("communities", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [one for one in value.replace(" ", "").split(",") if one]
