"""One text being written, and the way between texts and tokens. Torch (for seeds only).

Rule for long texts: a model sees the last `context` tokens at most. A prompt longer than the
context less the tokens to be written loses its beginning; a text that grows beyond the context goes
on with its second half in view (a model without a view remembers instead). Nothing in here knows
who else is being written for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from generators import media
from generators.contract import BadRequest, Generated, GenerateRequest
from generators.registry import ModelEntry
from generators.runtime import rng

DEFAULTS = {
    "max_new_tokens": 128,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 0.95,
    "repetition_penalty": 1.0,
}
_WORD = r"[^\W\d_](?:[^\W\d_]|['’.\-](?=.*[^\W\d_]))*"
_HEADWORD = re.compile(rf"{_WORD}(?: {_WORD}){{0,2}}")  # one to three words, no sentence
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_UNREADABLE = (
    "There is nothing in this prompt that the model can read.",
    "提示词中没有模型能读懂的内容。",
)


@dataclass(slots=True, eq=False)
class Row:
    """One text being written."""

    request: GenerateRequest
    settings: Mapping[str, Any]
    chances: list[float]  # one number in [0, 1) for each token that may be written
    prompt: str
    prompt_decoded: str  # the prompt as its tokens spell it
    ids: list[int]  # prompt and what was written
    prompt_tokens: int
    window: int = 0  # the model sees ids[window:]
    done: bool = False
    shown: str = ""  # what was written, as far as it was shown
    shown_from: int = 0  # tokens from here on spell what comes next, together with ...
    shown_to: int = 0  # ... those up to here, which were shown

    @property
    def written(self) -> int:
        """How many tokens were written."""
        return len(self.ids) - self.prompt_tokens

    @property
    def limit(self) -> int:
        """How many tokens may be written."""
        return int(self.settings["max_new_tokens"])

    @property
    def view(self) -> list[int]:
        """The tokens that the model sees."""
        return self.ids[self.window :]


class Reader:
    """A tokenizer with the host's word on what the model reads.

    Manifest `limits` it understands: `headword_format` (a format with `{word}` that turns a bare
    word into the beginning of a dictionary entry), `reads` ("latin": prompts without a Latin letter
    are declined).
    """

    def __init__(
        self,
        tokenizer: Any,
        entry: ModelEntry,
        context: int,
        ends: frozenset[int],
        *,
        endless: bool = False,
    ) -> None:
        """`context`: tokens that the model sees at most. `ends`: tokens that end a text.
        `endless`: it keeps no tokens in view, so `context` bounds only what it is given to read."""
        self.tokenizer, self.entry = tokenizer, entry
        self.context, self.ends, self.endless = context, ends, endless

    def outgrown(self, row: Row) -> bool:
        """Whether a text has become longer than what the model can see."""
        return not self.endless and len(row.view) > self.context

    def rows(self, request: GenerateRequest) -> list[Row]:
        """A request's texts, ready to be gone on with. Raises BadRequest."""
        settings = self._settings(request.params)
        prompt = self._prompt(request.params.prompt)  # type: ignore[attr-defined]
        ids = self.tokenizer(prompt, add_special_tokens=True)["input_ids"]
        ids = ids or [token for token in (self.tokenizer.bos_token_id,) if token is not None]
        if not ids:
            raise BadRequest(*_UNREADABLE)
        length = settings["max_new_tokens"]
        kept = self.context if self.endless else self.context - min(length, self.context // 2)
        ids = list(ids[-kept:])
        decoded = self._decoded(ids)
        return [
            Row(
                request,
                settings,
                torch.rand(length, generator=rng(seed)).tolist(),
                prompt,
                decoded,
                list(ids),
                len(ids),
                shown_from=0,
                shown_to=len(ids),
            )
            for seed in request.item_seeds()
        ]

    def _settings(self, params: Any) -> dict[str, Any]:
        asked = {name: getattr(params, name) for name in DEFAULTS}
        return {
            name: self.entry.defaults.get(name, DEFAULTS[name]) if value is None else value
            for name, value in asked.items()
        }

    def _prompt(self, text: str) -> str:
        """What the model is given to go on with. Raises BadRequest for what it cannot read."""
        cleaned = visible(text)
        if self.entry.limits.get("reads") == "latin" and not _LATIN.search(cleaned):
            raise BadRequest(
                "This model reads English only; write a word or a beginning in it.",
                "这个模型只懂英文，请用英文写一个词或开头。",
            )
        if not cleaned.strip():
            raise BadRequest(*_UNREADABLE)
        word = cleaned.strip()
        form = self.entry.limits.get("headword_format")
        if form is not None and _HEADWORD.fullmatch(word):
            return str(form).replace("{word}", word)
        return cleaned.rstrip(" ")  # a trailing space would be a token of its own, seldom seen

    def answer(self, rows: Sequence[Row]) -> Generated:
        """The result of a request, from all its rows."""
        texts = [media.text(self.text(row)) for row in rows]
        return Generated(texts, {**rows[0].request.params.model_dump(), **rows[0].settings})

    def text(self, row: Row) -> str:
        """The finished text, prompt included. A letter whose bytes are not complete is left out."""
        # Decoded together: some tokenizers drop the space before the first token they are given.
        added = self._decoded(row.ids).removeprefix(row.prompt_decoded)
        return (row.prompt + visible(added).rstrip("\ufffd")).rstrip()

    def text_so_far(self, row: Row) -> str:
        """The text as it stands, to be shown while it grows; costs what is new, not what there is.

        The new tokens are decoded behind a few that were shown before, since how a token is spelt
        may depend on the one before it.
        """
        spelt = self._decoded(row.ids[row.shown_from :])
        known = self._decoded(row.ids[row.shown_from : row.shown_to])
        added = visible(spelt[len(known) :])
        if added.endswith("\ufffd"):  # the bytes of a letter are not complete yet
            return row.prompt + row.shown + added.rstrip("\ufffd")
        row.shown += added
        row.shown_from, row.shown_to = row.shown_to, len(row.ids)
        return row.prompt + row.shown

    def _decoded(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def visible(text: str) -> str:
    """The text without what has no place in one (NUL, escape codes)."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
