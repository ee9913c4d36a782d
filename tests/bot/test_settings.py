"""Settings: wrong ones stop the start with their name and what is allowed; unknown ones too."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bot import settings
from bot.errors import SettingsError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in settings.known_names():
        monkeypatch.delenv(name, raising=False)


def test_defaults_need_nothing() -> None:
    chosen = settings.load()
    assert chosen.web.bind == "127.0.0.1:8080"
    assert chosen.database_url.endswith("/data/atelier.sqlite3")
    limits = chosen.studio.limits()
    assert (limits.gpu_ms, limits.active_jobs, limits.jobs) == (600_000, 3, None)


def test_misspelt_name_is_an_error_that_suggests_the_right_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATELIER_QUOTA_GPU_SECOND", "5")
    with pytest.raises(SettingsError, match=r"Did you mean ATELIER_QUOTA_GPU_SECONDS\?"):
        settings.load()


def test_unknown_name_in_env_file_is_an_error_too() -> None:
    Path(".env").write_text("ATELIER_NONSENSE=1\nOTHER=2\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="ATELIER_NONSENSE"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ATELIER_ACTIVE_JOBS", "0", "greater than or equal to 1"),
        ("ATELIER_WEB_BIND", "nowhere", "host:port"),
        ("ATELIER_LOCALE", "fr", "en or zh"),
        ("ATELIER_DEVICE", "gpu", "cuda"),
        ("ATELIER_ENGINE_URL", "amqp://x", "local"),
    ],
)
def test_wrong_value_names_setting_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        settings.load()
    message = str(caught.value)
    assert name in message
    assert repr(value) in message
    assert said in message


def test_every_wrong_setting_of_a_room_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_ACTIVE_JOBS", "0")
    monkeypatch.setenv("ATELIER_WAITING_JOBS", "many")
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert {"ATELIER_ACTIVE_JOBS", "ATELIER_WAITING_JOBS"} <= {
        line.split(":")[0] for line in str(caught.value).splitlines()
    }


def test_secrets_are_never_repeated_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_SECRET_KEY", "hunter2")
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)
    assert "ATELIER_SECRET_KEY" in str(caught.value)


def test_postgresql_demands_a_shared_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DATABASE_URL", "postgresql://a@b/c")
    with pytest.raises(SettingsError, match="ATELIER_SECRET_KEY"):
        settings.load()


def test_random_key_is_kept_private_and_stays_the_same() -> None:
    chosen = settings.load()
    first = settings.secret_key(chosen)
    path = chosen.data_dir / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings.secret_key(chosen) == first
    assert len(first) >= 32


def test_damaged_key_is_said_and_not_replaced() -> None:
    chosen = settings.load()
    settings.secret_key(chosen)
    path = chosen.data_dir / "secret.key"
    path.write_text("oops", encoding="ascii")
    with pytest.raises(SettingsError, match="damaged"):
        settings.secret_key(chosen)
    assert path.read_text(encoding="ascii") == "oops"


def test_bind_from_the_command_line_is_checked_the_same_way() -> None:
    chosen = settings.with_bind(settings.load(), "127.0.0.1:0")
    assert chosen.web.bind == "127.0.0.1:0"
    with pytest.raises(SettingsError, match="ATELIER_WEB_BIND"):
        settings.with_bind(chosen, "here")


def test_every_setting_explains_itself() -> None:
    assert all(meaning for meaning in settings.known_names().values())
