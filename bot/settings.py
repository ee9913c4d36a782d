"""Every setting of the studio, composed from the rooms' own classes and checked as a whole.

Read once, by the composition roots (`bot.app`, `bot.cli`). A name with our prefix that no room
knows is an error, not ignored: a misspelt limit must not mean "no limit".
"""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.core.chat import MAX_UPLOAD_BYTES
from bot.core.domain import Limits
from bot.errors import SettingsError
from bot.platforms.discord.settings import DiscordSettings
from bot.platforms.telegram.settings import TelegramSettings
from bot.platforms.web.settings import WebSettings
from bot.services.pictures import UploadLimits
from generators.settings import PREFIX, GeneratorSettings

ENV_FILE = Path(".env")


class StudioSettings(BaseSettings):
    """`ATELIER_*` of the gateway itself."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    database_url: str = Field(
        default="",
        description="sqlite+aiosqlite:///file or postgresql://user@host/name; "
        "empty means DATA_DIR/atelier.sqlite3.",
    )
    engine_url: str = Field(
        default="local",
        pattern=r"^local$",
        description="What carries jobs: local (a worker on this machine).",
    )
    metrics_bind: str = Field(
        default="",
        pattern=r"^((\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5})?$",
        description="host:port for /metrics; empty serves it on the web server, to loopback.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Signs buttons and cookies, 32 characters or more; "
        "empty keeps a random one in DATA_DIR/secret.key.",
    )
    locale: Literal["en", "zh"] = Field(
        default="en", description="Language for people whose platform names none: en or zh."
    )
    quota_gpu_seconds: int = Field(
        default=600, ge=0, description="GPU-seconds a member may use in the window; 0 is no limit."
    )
    quota_jobs: int = Field(
        default=0, ge=0, description="Jobs a member may start in the window; 0 is no limit."
    )
    quota_window_s: int = Field(
        default=86_400, ge=60, le=31 * 86_400, description="Length of the rolling window, seconds."
    )
    quota_community_gpu_seconds: int = Field(
        default=0, ge=0, description="GPU-seconds a whole community may use; 0 is no limit."
    )
    active_jobs: int = Field(
        default=3, ge=1, le=1000, description="Jobs of one member that run at the same time."
    )
    waiting_jobs: int = Field(
        default=50, ge=1, le=10_000, description="Jobs of one member that may wait in the queue."
    )

    upload_max_bytes: int = Field(
        default=MAX_UPLOAD_BYTES,
        ge=1024,
        le=MAX_UPLOAD_BYTES,
        description="Bytes of a file that members may upload.",
    )
    upload_max_pixels: int = Field(
        default=24_000_000,
        ge=4096,
        le=200_000_000,
        description="Pixels of a picture that members may upload; decoding one takes about eight"
        " bytes of memory for each.",
    )

    def upload_limits(self) -> UploadLimits:
        """What is read of an upload."""
        return UploadLimits(max_bytes=self.upload_max_bytes, pixels=self.upload_max_pixels)

    def limits(self) -> Limits:
        """The studio's own limits, where a community has not set others."""
        return Limits(
            gpu_ms=self.quota_gpu_seconds * 1000 or None,
            jobs=self.quota_jobs or None,
            window_s=self.quota_window_s,
            active_jobs=self.active_jobs,
            waiting_jobs=self.waiting_jobs,
            community_gpu_ms=self.quota_community_gpu_seconds * 1000 or None,
        )


ROOMS: tuple[type[BaseSettings], ...] = (
    StudioSettings,
    GeneratorSettings,
    WebSettings,
    DiscordSettings,
    TelegramSettings,
)

# pydantic's own words for these name a regular expression or "items"; people want less.
PLAIN_WORDS = {"string_pattern_mismatch": "is not of the right form", "too_short": "is too short"}


@dataclass(frozen=True, slots=True)
class Settings:
    """All rooms' settings, as read."""

    studio: StudioSettings
    generators: GeneratorSettings
    web: WebSettings
    discord: DiscordSettings
    telegram: TelegramSettings

    @property
    def data_dir(self) -> Path:
        """The folder for everything that is kept."""
        return self.generators.data_dir

    @property
    def database_url(self) -> str:
        """The database, with the default filled in."""
        return self.studio.database_url or (
            f"sqlite+aiosqlite:///{(self.data_dir / 'atelier.sqlite3').resolve()}"
        )


def known_names() -> dict[str, str]:
    """Every setting's full name and what it means."""
    return {
        f"{room.model_config.get('env_prefix', '')}{name}".upper(): field.description or ""
        for room in ROOMS
        for name, field in room.model_fields.items()
    }


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and `.env`. Raises SettingsError naming each setting that is wrong."""
    _refuse_unknown(os.environ if environ is None else environ)
    try:
        settings = Settings(
            studio=StudioSettings(),
            generators=GeneratorSettings(),
            web=WebSettings(),
            discord=DiscordSettings(),
            telegram=TelegramSettings(),
        )
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    if settings.database_url.startswith("postgres") and settings.studio.secret_key is None:
        raise SettingsError(
            f"{PREFIX}SECRET_KEY must be set when the database is PostgreSQL: several gateways "
            "have to sign with the same key. 32 characters or more, for example the output of "
            "`openssl rand -hex 32`."
        )
    return settings


def secret_key(settings: Settings) -> bytes:
    """The studio's signing key: the setting, or a random one kept in DATA_DIR (mode 0600)."""
    if settings.studio.secret_key is not None:
        return settings.studio.secret_key.get_secret_value().encode()
    path = settings.data_dir / "secret.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_text(encoding="ascii").strip()
        if len(key) < 32:
            raise SettingsError(
                f"{path} is damaged (too short). Restore it from a backup; or delete it, and "
                "buttons and sign-ins made so far stop working."
            ) from None
        return key.encode()
    key = secrets.token_hex(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key.encode()


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = known_names()
    given = {*environ, *(dotenv_values(ENV_FILE) if ENV_FILE.is_file() else ())}
    for name in sorted(given):
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f" Did you mean {near[0]}?" if near else " `atelier doctor` lists all settings."
        raise SettingsError(f"{name} is not a setting of Atelier.{hint}")


def _explain(error: ValidationError) -> str:
    """One line per wrong setting: its name, what was given (unless secret), what is allowed."""
    room = next(room for room in ROOMS if room.__name__ == error.title)
    lines = []
    for problem in error.errors():
        field_name = str(problem["loc"][0])
        name = f"{room.model_config.get('env_prefix', '')}{field_name}".upper()
        field = room.model_fields.get(field_name)
        secret = field is not None and "SecretStr" in str(field.annotation)
        given = "" if secret else f" (given: {str(problem['input'])[:80]!r})"
        meaning = f" {field.description}" if field and field.description else ""
        what = PLAIN_WORDS.get(problem["type"], problem["msg"])
        lines.append(f"{name}: {what}{given}.{meaning}")
    return "\n".join(lines)


def with_bind(settings: Settings, bind: str) -> Settings:
    """The same settings with another web address, from the command line. Raises SettingsError."""
    try:
        web = WebSettings(**settings.web.model_dump() | {"bind": bind})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    return replace(settings, web=web)
