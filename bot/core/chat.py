"""What is said in chat, the same on every platform: Invocation in, Reply out.

A platform turns what a member did into an `Invocation`, hands it to `ports.Handle` and shows the
`Reply` that comes back. Commands declare themselves here once; forms are drawn from that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bot.errors import DEFAULT_LANGUAGE

if TYPE_CHECKING:
    from bot.core.domain import Artifact, Job


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in every language we speak; both are required, so none can be forgotten."""

    en: str
    zh: str

    def in_(self, locale: str) -> str:
        """The sentence for a locale such as `zh-CN`; unknown languages get English."""
        return self.zh if locale.lower().startswith("zh") else self.en

    def format(self, **values: object) -> Text:
        """The same sentence in each language with `{name}` places filled in."""
        return Text(en=self.en.format(**values), zh=self.zh.format(**values))


class Role(StrEnum):
    """What a member may do in a community, weakest first."""

    MEMBER = "member"
    MODERATOR = "moderator"
    OWNER = "owner"  # the person who hosts the studio

    def at_least(self, other: Role) -> bool:
        """Whether this role includes the other's rights."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an invocation came from and who sent it, in the platform's own ids."""

    platform: str  # "web", "discord", "telegram"
    community_external_id: str  # guild or chat id; a person's own id where `personal`
    personal: bool  # a direct message, the web, the command line
    identity_external_id: str
    display_name: str
    role: Role = Role.MEMBER
    platform_roles: tuple[str, ...] = ()  # role ids on the platform, for role quotas
    locale: str = DEFAULT_LANGUAGE
    community_name: str = ""
    channel_external_id: str = ""  # where in the community; empty where it has no channels
    parent_channel_external_id: str = ""  # of a thread: the channel that it is in
    age_restricted: bool = False  # the platform lets only adults in here
    watched: bool = False  # personal, and yet others read along: brought into a strangers' place


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a member sent it: nothing about it has been judged, its name and type least of all.

    A platform delivers at most `MAX_UPLOAD_BYTES`; it says itself where a file is larger."""

    data: bytes = field(repr=False)
    mime: str = ""
    filename: str = ""


MAX_UPLOAD_BYTES = 16 * 1024 * 1024
"""What a platform reads of one file at most; the host may allow less (`ATELIER_UPLOAD_...`)."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One thing a member did: typed a command, pressed a button, or sent a form.

    `id` is the platform's own id of the event and the idempotency key: the same id twice has no
    second effect. `address` is what the platform needs to answer later, in JSON values only; it
    is stored with the delivery and handed back untouched, perhaps after a restart. Either
    `command` with `options` (raw, as the platform gave them) or `text` (typed after the command,
    still to be parsed) is set, or `action` for a button. `uploads` are the files sent along, by the
    name of the `image` option each is for; an option given both ways takes its file. `names` is
    what the platform calls the members, channels and roles among the options, by their id.
    """

    id: str
    origin: Origin
    command: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    action: str | None = None  # the signed data of a button
    address: Mapping[str, Any] = field(default_factory=dict)
    private: bool = False  # the answer is for this member alone
    uploads: Mapping[str, Upload] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


class OptionType(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    IMAGE = "image"  # a file in `Invocation.uploads`, or words that name a picture of the history
    MEMBER = "member"  # these three: an id of the platform's, which may offer a picker of its own;
    CHANNEL = "channel"  # typed mentions (`<@1>`, `<#1>`, `<@&1>`) are read as their id
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Choice:
    """One allowed value of an option and how it is shown; `zh` in Chinese, where that differs."""

    value: str | int
    label: str
    zh: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One input of a command. Bounds are inclusive; for strings they count characters.

    A validated `image` option is an `Upload` or a string, and `services.pictures` makes a picture
    of either: the string is `last`, the id of a job, or the id of an artifact, of jobs with `#n`
    for the n-th picture.

    `rest` marks the one option that plain words without a name belong to (the prompt).
    `choices` may be a function, since which models there are is known only at run time; where
    `open_choices` is set, other values are allowed too and choices are suggestions.
    """

    name: str
    description: Text
    type: OptionType = OptionType.STRING
    required: bool = False
    default: str | int | float | bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Choice, ...] | Callable[[], tuple[Choice, ...]] = ()
    open_choices: bool = False
    rest: bool = False
    multiline: bool = False

    def choice_list(self) -> tuple[Choice, ...]:
        """The choices as they are now."""
        return self.choices() if callable(self.choices) else self.choices


class ButtonStyle(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Button:
    """A button under an answer. `data` is signed (`core.signing`), at most 64 bytes, and still
    works after a restart and a year later. `description` is its accessible name."""

    label: str
    data: str
    description: str
    style: ButtonStyle = ButtonStyle.SECONDARY
    pressed: bool | None = None  # a toggle that is on or off; None for a plain button
    among_others: bool = False  # left out where nobody else reads along (the web, a direct message)


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled value, drawn as a row; `fraction` (0 to 1) draws it as a meter."""

    label: str
    value: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """Ask the member for more (a modal, a prefilled composer): on submit the platform invokes
    `command` with the values. `hidden` values are sent back as they are."""

    title: str
    command: str
    fields: tuple[tuple[Option, str], ...]  # the option and its prefilled value
    hidden: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobTicket:
    """What a member learns the moment a job is admitted. Position 1 is next; `eta_s` in seconds;
    `private`: its answer is for them alone, because they or their community want it so."""

    job_id: str
    position: int
    eta_s: float | None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A past job in a list: its own text, pictures and buttons.

    To its buttons a card is a message of its own: what replaces or removes the message replaces or
    removes the card."""

    job_id: str
    title: str
    text: str
    media: tuple[Artifact, ...]
    buttons: tuple[tuple[Button, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a member gets to see. Everything is plain text: platforms escape, nothing is markup.

    With `ticket` set the work has only been admitted; the answer follows as a delivery.
    `ephemeral` asks the platform to show it to this member alone. `direct` asks to send it to them
    as a direct message, to keep; where there is no such thing it is as good as `ephemeral`.
    `replaces_message` edits the message the button hung on instead of adding one.
    """

    text: str = ""
    title: str = ""
    error: bool = False
    ticket: JobTicket | None = None
    media: tuple[Artifact, ...] = ()
    fields: tuple[Field, ...] = ()
    cards: tuple[Card, ...] = ()
    buttons: tuple[tuple[Button, ...], ...] = ()
    form: Form | None = None
    ephemeral: bool = False
    direct: bool = False
    replaces_message: bool = False
    removes_message: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """News of a job that is not finished: shown by editing the waiting message. Lossy."""

    job_id: str
    state: str  # "queued", "running"
    position: int | None = None
    eta_s: float | None = None
    inference_step: int | None = None
    total_steps: int | None = None
    text: str | None = None
    preview: bytes | None = None
    preview_mime: str | None = None


Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command, declared once in its own file under `bot.commands` as `COMMAND`.

    `run` gets the services (`bot.services.Services`), the invocation and validated options.
    `actions` are the buttons this command hangs under its answers, by name. `present` turns a
    finished job of this command into what the member sees. `recall` gives the options that are not
    simply the params of the same name, for making a job again.
    """

    name: str
    summary: Text
    run: Callable[[Any, Invocation, Options], Awaitable[Reply]]
    options: tuple[Option, ...] | Callable[[], tuple[Option, ...]] = ()
    category: str = "general"  # "create" from words, "change" what is there, "general"
    lead: bool = False  # what newcomers try first
    role: Role = Role.MEMBER
    examples: tuple[str, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    present: Callable[[Any, Job, tuple[Artifact, ...], str], Reply] | None = None
    recall: Callable[[Job], Mapping[str, Any]] | None = None

    def option_list(self) -> tuple[Option, ...]:
        """The options as they are now."""
        return self.options() if callable(self.options) else self.options


@dataclass(frozen=True, slots=True)
class Action:
    """What a button does: gets the services, the invocation, the job it hangs on."""

    run: Callable[[Any, Invocation, Job], Awaitable[Reply]]
    owner_only: bool = True  # only the job's owner (and moderators) may press it


@dataclass(frozen=True, slots=True)
class Menu:
    """An entry of the menu that a platform shows on a message: runs an action on the message's job.

    The platform finds the job in the signed buttons of the message itself (`Signer.read`) and
    invokes `Invocation(action=signer.button(menu.action, job_id))`; a message without any of ours
    is answered by the platform."""

    title: Text
    action: str
    role: Role = Role.MEMBER
