"""Log lines: what they tell, and what they must not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from generators import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests capture logs their own way."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_tells_where_but_no_values(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(log_format)  # type: ignore[arg-type]

    def fails(token: str) -> None:
        raise LookupError("nothing there")

    secret = "-".join(("a", "secret", "token"))  # its source line is told, and may be
    try:
        fails(secret)
    except LookupError:
        structlog.get_logger("test").exception("it failed")

    told = capsys.readouterr().err
    assert "in fails" in told
    assert "nothing there" in told
    assert secret not in told
