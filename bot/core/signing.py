"""What the studio signs: buttons that live for ever, and tokens that expire or work once.

Platforms hand buttons back as strings, perhaps a year later and after any number of restarts, so
the signature is all we need to keep. Each purpose has its own key, derived from the studio's one:
a button can never pass for a cookie. Used by commands, the router and the platforms.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.errors import NotAllowed

MAX_BUTTON_BYTES = 64
"""What Telegram allows in a button's data; Discord allows 100."""

_ACTION = re.compile(r"[a-z][a-z0-9_]{0,13}")
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_BUTTON_SIGNATURE_BYTES = 12  # 96 bits: 16 characters of the 64, and far beyond guessing online


class Signer:
    """Signs and checks with keys derived from the studio's key.

    >>> Signer(b"k" * 32).button("u1", "0" * 32).count(":")
    2
    """

    def __init__(self, key: bytes) -> None:
        """`key`: the studio's secret, at least 16 bytes; it is never used directly."""
        if len(key) < 16:
            raise ValueError("the studio's key has at least 16 bytes")
        self._key = key

    def button(self, action: str, job_id: str) -> str:
        """`action:job:signature`, at most 64 bytes of ASCII. Valid for as long as the key is.

        `action`: 1 to 14 of a-z, 0-9, _; `job_id`: 32 hexadecimal digits."""
        if not _ACTION.fullmatch(action) or not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"not an action and a job: {action!r}, {job_id!r}")
        return f"{action}:{job_id}:{self._button_signature(action, job_id)}"

    def read(self, data: str) -> tuple[str, str]:
        """The action and the job id of a button. Raises NotAllowed for what we did not sign."""
        action, _, rest = data.partition(":")
        job_id, _, signature = rest.partition(":")
        if not (
            _ACTION.fullmatch(action)
            and _JOB_ID.fullmatch(job_id)
            and _equal(signature, self._button_signature(action, job_id))
        ):
            raise NotAllowed(
                "This button was not made by this studio, so it does nothing here.",
                "这个按钮不是由本工作室生成的，因此在这里无效。",
            )
        return action, job_id

    def sign(self, value: str, purpose: str, *, expires_at: datetime | None = None) -> str:
        """A token that carries `value` openly (signed, not hidden), for cookies and links.

        `purpose` names the use and must be given again to `unsign`; without `expires_at` the
        token is valid for ever. URL-safe."""
        expiry = "" if expires_at is None else str(int(expires_at.timestamp()))
        body = f"{_encode(value.encode())}.{expiry}"
        return f"{body}.{self._token_signature(body, purpose)}"

    def unsign(self, token: str, purpose: str, *, now: datetime | None = None) -> str:
        """The value of a token. Raises NotAllowed where it is forged, for another purpose, or
        expired at `now`; a token that expires is refused where no `now` is given."""
        body, _, signature = token.rpartition(".")
        encoded, _, expiry = body.partition(".")
        if not _equal(signature, self._token_signature(body, purpose)):
            raise NotAllowed(
                "This link or sign-in was not made by this studio.",
                "这个链接或登录信息不是由本工作室签发的。",
            )
        if expiry and (now is None or now.timestamp() >= int(expiry)):
            raise NotAllowed(
                "This link or sign-in has expired. Please ask for a new one.",
                "这个链接或登录信息已过期，请重新获取。",
            )
        return _decode(encoded).decode()

    def _button_signature(self, action: str, job_id: str) -> str:
        digest = self._digest(f"{action}:{job_id}", "button")
        return _encode(digest[:_BUTTON_SIGNATURE_BYTES])

    def _token_signature(self, body: str, purpose: str) -> str:
        return _encode(self._digest(body, f"token/{purpose}"))

    def _digest(self, text: str, purpose: str) -> bytes:
        # One block of HKDF-Expand (RFC 5869) would do the same; HMAC is a PRF, so this derives
        # independent keys already.
        key = hmac.digest(self._key, f"atelier/{purpose}".encode(), hashlib.sha256)
        return hmac.digest(key, text.encode(errors="surrogatepass"), hashlib.sha256)


class OneTimeTokens:
    """Tokens that work once and for a while: the owner link that `atelier up` prints.

    What was spent is kept in memory only; each instance has its own purpose, so a token of an
    earlier start is worth nothing after a restart and cannot be spent again.
    """

    def __init__(self, signer: Signer, purpose: str, clock: Callable[[], datetime]) -> None:
        self._signer = signer
        self._purpose = f"{purpose}/{secrets.token_hex(8)}"
        self._clock = clock
        self._unspent: dict[str, datetime] = {}

    def issue(self, *, valid_for: timedelta) -> str:
        """A fresh token."""
        now = self._clock()
        self._unspent = {nonce: end for nonce, end in self._unspent.items() if end > now}
        nonce = secrets.token_urlsafe(12)
        self._unspent[nonce] = now + valid_for
        return self._signer.sign(nonce, self._purpose, expires_at=now + valid_for)

    def redeem(self, token: str) -> None:
        """Spend it. Raises NotAllowed where it is forged, expired or spent."""
        nonce = self._signer.unsign(token, self._purpose, now=self._clock())
        if self._unspent.pop(nonce, None) is None:
            raise NotAllowed(
                "This link was used already. Please ask for a new one.",
                "这个链接已经用过了，请重新获取。",
            )


def _equal(given: str, expected: str) -> bool:
    # Bytes, because compare_digest refuses text beyond ASCII, and anybody can send that.
    return hmac.compare_digest(
        given.encode(errors="surrogatepass"), expected.encode(errors="surrogatepass")
    )


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
