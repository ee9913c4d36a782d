"""Every error the gateway raises on purpose, and who gets to see it.

    AtelierError
    ├── UserError             its text is for the member, shown to them alone, in their language
    │   ├── BadOption         an option is missing, unknown, of the wrong type or out of range
    │   ├── UnknownCommand
    │   ├── NotAllowed        a permission is missing, or the thing belongs to somebody else
    │   ├── NotFound          no such job, picture, or it was deleted
    │   ├── PromptRefused     moderation said no
    │   ├── QuotaExceeded     the rolling window is used up; says when it frees
    │   └── TooManyJobs       the member has as many jobs waiting as the community allows
    ├── SettingsError         stops the start; names the setting and its allowed range
    └── PlatformError         a chat platform did not do what it was asked
        ├── DeliveryRetry     try again later (5xx, 429; `after_s` says when)
        └── DeliveryGone      never again here (channel deleted, token dead): use the next way

Anything else is a bug or a broken machine: logged with the job or invocation id, shown to people
as one sentence with that id.
"""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = ("en", "zh")
DEFAULT_LANGUAGE = "en"


class AtelierError(Exception):
    """Root of the tree."""


class UserError(AtelierError):
    """Something the member can put right. `texts` is the same sentence in every language."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.texts: Mapping[str, str] = {"en": en, "zh": zh}

    def text(self, locale: str) -> str:
        """The sentence in the member's language (`zh-TW` falls back to `zh`, others to English)."""
        return self.texts.get(locale.split("-")[0].lower(), self.texts[DEFAULT_LANGUAGE])


class BadOption(UserError): ...


class UnknownCommand(UserError): ...


class NotAllowed(UserError): ...


class NotFound(UserError): ...


class PromptRefused(UserError): ...


class QuotaExceeded(UserError): ...


class TooManyJobs(UserError): ...


class SettingsError(AtelierError):
    """A setting is wrong; the message names it, its value and what is allowed."""


class PlatformError(AtelierError): ...


class DeliveryRetry(PlatformError):
    """The platform could not take the answer now. `after_s`: seconds it asked to wait, if it did.

    `unknown` is set where the answer may have arrived all the same (a connection that broke after
    the request was sent): such a delivery is repeated once only."""

    def __init__(
        self, message: str, *, after_s: float | None = None, unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.after_s = after_s
        self.unknown = unknown


class DeliveryGone(PlatformError):
    """The place the answer should go to is gone for good."""
