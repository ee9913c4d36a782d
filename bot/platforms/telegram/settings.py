"""What the host may say about Telegram. No client library is imported here."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TelegramSettings(BaseSettings):
    """`ATELIER_TELEGRAM_*`. Without a token, Telegram is simply switched off."""

    model_config = SettingsConfigDict(
        env_prefix="ATELIER_TELEGRAM_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    token: SecretStr | None = Field(default=None, description="The bot's token from BotFather.")
    api_base: str = Field(
        default="https://api.telegram.org",
        pattern=r"^https?://",
        description="Where the Bot API is; /bot<token> and /file/bot<token> are appended.",
    )
