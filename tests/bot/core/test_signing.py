"""Buttons live for ever, tokens for their time, and nothing that we did not sign is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.signing import MAX_BUTTON_BYTES, OneTimeTokens, Signer
from bot.errors import NotAllowed

KEY = b"the studio's key, 32 bytes long!"
JOB = "0123456789abcdef" * 2
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def test_a_button_survives_a_restart_and_fits_every_platform() -> None:
    data = Signer(KEY).button("abcdefghij_123", JOB)
    assert len(data.encode()) <= MAX_BUTTON_BYTES
    assert Signer(KEY).read(data) == ("abcdefghij_123", JOB)


@pytest.mark.parametrize("action", ["", "U1", "with:colon", "a" * 15, "ü"])
def test_an_action_that_would_not_fit_is_refused_when_made(action: str) -> None:
    with pytest.raises(ValueError, match="not an action"):
        Signer(KEY).button(action, JOB)


def test_every_changed_character_is_noticed() -> None:
    signer = Signer(KEY)
    data = signer.button("delete", JOB)
    for position in range(len(data)):
        for other in ("a", "0", ":", "é"):
            forged = data[:position] + other + data[position + 1 :]
            if forged != data:
                with pytest.raises(NotAllowed):
                    signer.read(forged)


def test_another_studios_button_is_refused() -> None:
    with pytest.raises(NotAllowed):
        Signer(b"another key of another studio...").read(Signer(KEY).button("u1", JOB))


@given(st.text(alphabet=st.characters(), max_size=80))
def test_no_string_at_all_breaks_the_reader(data: str) -> None:
    with pytest.raises(NotAllowed):
        Signer(KEY).read(data)
    with pytest.raises(NotAllowed):
        Signer(KEY).unsign(data, "cookie", now=NOW)


@given(st.text(max_size=200), st.text(max_size=20))
def test_a_token_carries_any_text(value: str, purpose: str) -> None:
    signer = Signer(KEY)
    assert signer.unsign(signer.sign(value, purpose), purpose) == value


def test_a_token_is_good_for_its_purpose_only() -> None:
    signer = Signer(KEY)
    token = signer.sign("account", "cookie")
    with pytest.raises(NotAllowed):
        signer.unsign(token, "link")
    # Nor does a button pass for a token, or a token for a button.
    with pytest.raises(NotAllowed):
        signer.unsign(signer.button("u1", JOB), "button")
    with pytest.raises(NotAllowed):
        signer.read(signer.sign(f"u1:{JOB}", "button"))


def test_a_token_ends_when_it_says() -> None:
    signer = Signer(KEY)
    token = signer.sign("x", "cookie", expires_at=NOW + timedelta(seconds=10))
    assert signer.unsign(token, "cookie", now=NOW + timedelta(seconds=9)) == "x"
    with pytest.raises(NotAllowed, match="expired"):
        signer.unsign(token, "cookie", now=NOW + timedelta(seconds=10))
    with pytest.raises(NotAllowed, match="expired"):
        signer.unsign(token, "cookie")  # whoever forgets the time gets no free pass


def test_an_expiry_cannot_be_put_off() -> None:
    signer = Signer(KEY)
    value, expiry, signature = signer.sign("x", "cookie", expires_at=NOW).split(".")
    with pytest.raises(NotAllowed):
        signer.unsign(f"{value}.{int(expiry) + 999}.{signature}", "cookie", now=NOW)
    with pytest.raises(NotAllowed):
        signer.unsign(f"{value}..{signature}", "cookie", now=NOW)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Signer(b"short")


def test_a_one_time_token_works_once() -> None:
    tokens = OneTimeTokens(Signer(KEY), "owner", lambda: NOW)
    token = tokens.issue(valid_for=timedelta(minutes=10))
    tokens.redeem(token)
    with pytest.raises(NotAllowed, match="used already"):
        tokens.redeem(token)


def test_a_one_time_token_expires_and_dies_with_the_process() -> None:
    now = [NOW]
    tokens = OneTimeTokens(Signer(KEY), "owner", lambda: now[0])
    late = tokens.issue(valid_for=timedelta(minutes=10))
    unused = tokens.issue(valid_for=timedelta(hours=1))
    now[0] += timedelta(minutes=10)
    with pytest.raises(NotAllowed, match="expired"):
        tokens.redeem(late)
    restarted = OneTimeTokens(Signer(KEY), "owner", lambda: now[0])
    with pytest.raises(NotAllowed):
        restarted.redeem(unused)
    tokens.redeem(unused)
