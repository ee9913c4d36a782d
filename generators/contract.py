"""What a generator is, in plain values: the words the gateway, the supervisor and the models share.

No torch here, not even indirectly: the gateway validates params and draws its forms from these
classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

Modality = Literal["image", "text", "audio", "video"]

MediaRole = Literal["item", "rendition", "plot", "grid"]

MAX_SEED = 2**32 - 1


class Params(BaseModel):
    """Base of every generator's inputs: typed, bounded, frozen, and unknown names are an error.

    Each field carries a `description` with its unit and meaning; the same schema makes slash
    options, the web form, the command line and the docs. A field that defaults to None takes the
    weights' own default (`WeightsManifest.defaults`), since 20 steps suit one model and 1
    another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """A generator as everybody but the model child sees it.

    `capabilities` are plain words a command may ask for: `prompt` (takes text), `variation`
    (interpolated noise), `stream` (partial text while it runs), `preview` (pictures while it runs),
    `image_input` (takes a picture; a must for those without `prompt`), `animate` (loops by a param
    `frames`), `upscale`.
    `compat_fields` are the params that must be equal for two requests to share one batch.
    `max_batch` counts items (a request of four pictures is four).
    `continuous`: its models are `ContinuousModel`s, whose requests need not wait for one another.
    `first_estimate_gpu_ms` is the guess per item until the studio has its own history.
    """

    name: str
    modality: Modality
    summary: Mapping[str, str]  # language -> sentence
    params: type[Params]
    capabilities: frozenset[str]
    compat_fields: tuple[str, ...]
    max_batch: int
    first_estimate_gpu_ms: int
    max_count: int = 4
    needs_weights: bool = True
    continuous: bool = False

    def compat_key(self, model: str, params: Params) -> str:
        """Requests with equal keys may share a batch; short, and stable across processes."""
        values = {name: getattr(params, name) for name in self.compat_fields}
        text = json.dumps(values, sort_keys=True, default=str)
        return f"{self.name}/{model}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Media:
    """Bytes a generator returns, before they are stored.

    `facts` are what a viewer needs to know without decoding: `width` and `height` in pixels,
    `duration_s`, `text` (the first part of a text).

    `role`: an `item` is one of the things asked for; a `rendition` is the item before it in another
    format (GIF, WebM, Opus), a `plot` a picture of the item before it (a waveform), the `grid` the
    contact sheet of all. Media come as item, its renditions, its plot, the next item; only items
    count towards `count`.
    """

    data: bytes
    mime: str
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
    role: MediaRole = "item"


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One job's share of a batch: `count` items, item i drawn from seed + i (mod 2**32).

    Where a batch is cut for want of memory, `first_item` says which item the part begins with.
    """

    job_id: str
    params: Params
    seed: int
    count: int = 1
    inputs: Mapping[str, bytes] = field(default_factory=dict)  # e.g. {"image": png bytes}
    first_item: int = 0

    def item_seeds(self) -> list[int]:
        """The seed of each item, so that picture 3 of a grid can be had alone again."""
        first = self.seed + self.first_item
        return [(first + index) % (MAX_SEED + 1) for index in range(self.count)]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a running batch. The mappings are by job id and may be empty.

    `finished` holds results that need not wait for the rest of the batch; `generate` returns them
    once more in their place. `progress` is (done, total) of jobs that have steps of their own; it
    stands for the two numbers of the whole batch.
    """

    inference_step: int  # 1 ... total_steps
    total_steps: int
    previews: Mapping[str, Media] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    finished: Mapping[str, Generated] = field(default_factory=dict)
    progress: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Cancelled(Exception):
    """Raised out of `OnStep` when no request of the batch wants its result any more."""


OnStep = Callable[[Step], frozenset[str]]
"""Called after every step; returns the job ids whose results nobody wants any more (a model may
drop their rows) and raises `Cancelled` once that is all of them."""


class BadRequest(Exception):
    """The request cannot be served as asked; the message is a sentence for the person who asked, in
    English (`en`, also `str(error)`) and Chinese (`zh`; the English one where none is given)."""

    def __init__(self, en: str, zh: str | None = None) -> None:
        super().__init__(en)
        self.en, self.zh = en, en if zh is None else zh


CANCELLED = BadRequest("The request was cancelled.", "请求已取消。")
"""A model's answer in the place of a request that nobody wants any more."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What one request got: its items, in order, and the params as they were really used."""

    items: Sequence[Media]
    params: Mapping[str, Any]


class Model(Protocol):
    """The torch side of a generator, made by `generators.models.<name>.Model.load(...)`."""

    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Run one batch of compatible requests; one answer per request, in order.

        The same seed gives the same result whatever else is in the batch: noise is drawn per item
        from its own seeded generator. A request that cannot be served gets its `BadRequest` in
        its place, so that it does not spoil the batch for strangers. Raises `Cancelled` (from
        `on_step`).
        """
        ...


class Session(Protocol):
    """Requests that run together but come and go between two steps. Used from one thread.

    A request's result is what `Model.generate` would have given it, whenever it joined and whoever
    else was there.
    """

    @property
    def jobs(self) -> Sequence[str]:
        """The ids of the requests that have no result yet, in the order they joined."""
        ...

    def room(self) -> int:
        """How many items may join now."""
        ...

    def join(self, request: GenerateRequest) -> None:
        """Take a request in; the next step is its first. Raises BadRequest."""
        ...

    def leave(self, job_id: str) -> None:
        """Drop a request without a result; one that is not here is no error."""
        ...

    def step(self) -> Step:
        """One step of all requests: `progress` of each, `texts` that are worth showing, and
        `finished`, whose requests have left. Only while there are any."""
        ...


class ContinuousModel(Model, Protocol):
    """A model whose requests may join a running batch (a spec with `continuous`)."""

    def open(self, max_items: int) -> Session:
        """A new, empty session for so many items at once."""
        ...


class Receipt(BaseModel):
    """How a result came about; enough to make it again. Kept in SQL with the job."""

    model_config = ConfigDict(frozen=True)

    generator: str
    model: str
    weights_hash: str
    adapter_hash: str | None = None
    seed: int
    count: int
    params: dict[str, Any]
    versions: dict[str, str]
    device: str
    dtype: str
    tolerance: str = ""  # how far company may change the result, where the format is not exact
    batch_size: int  # items that ran together, at most
    gpu_ms: int  # this request's share of the batch's time
