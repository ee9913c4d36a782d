"""Measures of any model that writes: surprise, likeness to true texts, variety, copying. Torch."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.text import bleu_score
from torchmetrics.functional.text.rouge import rouge_score

from trainer.data.order import step_seed
from trainer.data.text import Line, read_lines
from trainer.evaluation import ngram
from trainer.evaluation.copying import Corpus, words_of
from trainer.evaluation.figures import Figure, Skipped
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.subject import Asked, Subject

BATCH = 32
CONTEXT = 96  # tokens of a held-out text that are looked at
SHOWN = 12
COPIED_WORDS = 8  # a run this long is a quotation
BLEU_WORDS = 2  # longest n-gram: two glosses of one word seldom share three words
TRIGRAM_TARGET = 0.6
_ENTRY = re.compile(r"(.{1,80}? \([^()]{1,40}\)):\s*(.+)", re.DOTALL)
OTHER_GLOSS = "another true text of the same kind"
REAL = "held-out texts"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many texts are written, and how many held-out ones are read."""

    written: int
    read: int

    @property
    def total(self) -> int:
        """Texts to write and to read."""
        return self.written + self.read


FULL = Plan(written=300, read=100_000)
QUICK = Plan(written=64, read=400)


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a held-out text, how it went on, and of which kind it is."""

    prompt: str
    rest: str
    kind: str

    @classmethod
    def of(cls, text: str) -> Opening:
        """`dragon (noun, thing)` and its gloss; the first words of any other text."""
        entry = _ENTRY.fullmatch(text)
        if entry is not None:
            head = entry[1]
            return cls(f"{head}:", entry[2].strip(), head[head.rindex("(") :])
        words = text.split(" ")
        return cls(" ".join(words[:3]), " ".join(words[3:]), "")


def measure(subject: Subject, dataset: Path, plan: Plan, tick: Tick) -> Results:
    """Everything, in the order of the table."""
    results = Results()
    held_out = read_lines(dataset, "held_out")
    train = read_lines(dataset, "train")
    if not held_out:
        results.skipped.append(Skipped("perplexity", "The dataset has no held-out texts."))
        return results
    _perplexity(subject, train, held_out, plan, results, tick)
    _glosses(subject, train, held_out, plan, results, tick)
    return results


# --- Surprise ------------------------------------------------------------------------------------


def _perplexity(
    subject: Subject,
    train: Sequence[Line],
    held_out: Sequence[Line],
    plan: Plan,
    results: Results,
    tick: Tick,
) -> None:
    tokenizer = getattr(subject.model, "tokenizer", None)
    if tokenizer is None or not hasattr(subject.model, "net"):
        reason = "The model does not show its probabilities."
        results.skipped.append(Skipped("perplexity", reason))
        return
    chosen = _some([line.texts[0] for line in held_out], plan.read)
    texts = _tokens(tokenizer, chosen)
    nats, count = _nats(subject.model.net, texts, _end(tokenizer), tick)
    # One wording of each: an n-gram that met a text three times trusts it too much, and loses.
    known = [line.texts[0] for line in train]
    baselines = ngram.perplexities(
        _tokens(tokenizer, known), texts, _end(tokenizer), len(tokenizer)
    )
    perplexity, trigram = math.exp(nats / count), baselines["trigram_perplexity"]
    results.figures += [
        Figure(
            "perplexity",
            perplexity,
            reference_name="interpolated trigram",
            reference=trigram,
            better="lower",
            target=TRIGRAM_TARGET * trigram,
            note=f"{len(texts):,} held-out texts, {count:,} of the model's own tokens; the trigram "
            "learned one wording of each text, which makes it stronger than learning all",
        ),
        Figure(
            "nats_per_character",
            nats / max(1, sum(len(text) for text in chosen)),
            "nats",
            "interpolated trigram",
            math.log(trigram) * count / max(1, sum(len(text) for text in chosen)),
            "lower",
            note="the same, comparable between tokenizers",
        ),
        Figure(
            "bits_below_unigram",
            (math.log(baselines["unigram_perplexity"]) - math.log(perplexity)) / math.log(2),
            "bits",
            "interpolated trigram",
            (math.log(baselines["unigram_perplexity"]) - math.log(trigram)) / math.log(2),
            note="what a token's past is worth: "
            f"a unigram's perplexity is {baselines['unigram_perplexity']:,.0f}",
        ),
    ]


def _tokens(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Ids without special tokens, cut at CONTEXT."""
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return [ids[: CONTEXT - 1] for ids in encoded]


def _end(tokenizer: Any) -> int:
    found = tokenizer.eos_token_id
    return int(found) if found is not None else 0


@torch.inference_mode()
def _nats(net: Any, texts: Sequence[Sequence[int]], end: int, tick: Tick) -> tuple[float, int]:
    """(sum of nats, number of tokens) of the texts, each after and before an end token."""
    device = next(net.parameters()).device
    total, count = 0.0, 0
    ordered = sorted(texts, key=len)
    for start in range(0, len(ordered), BATCH):
        chunk = ordered[start : start + BATCH]
        rows = torch.full((len(chunk), len(chunk[-1]) + 2), -1)
        for row, text in zip(rows, chunk, strict=True):
            row[: len(text) + 2] = torch.tensor([end, *text, end])
        targets = rows[:, 1:]
        logits = _logits(net, rows[:, :-1].clamp(min=0).to(device)).float().cpu()
        losses = F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum"
        )
        total += float(losses)
        count += int((targets >= 0).sum())
        tick(len(chunk))
    return total, count


def _logits(net: Any, tokens: Tensor) -> Tensor:
    """Scores (B, T, V) of the next token, by our LSTM or any causal model of transformers. Rows are
    padded at their ends, which no earlier place can see."""
    if hasattr(net, "scores"):
        return net.scores(net(tokens)[0])
    return net(tokens, attention_mask=torch.ones_like(tokens)).logits


# --- What it writes ------------------------------------------------------------------------------


def _glosses(
    subject: Subject,
    train: Sequence[Line],
    held_out: Sequence[Line],
    plan: Plan,
    results: Results,
    tick: Tick,
) -> None:
    openings = [Opening.of(line.texts[0]) for line in held_out]
    openings = [opening for opening in openings if opening.rest]
    chosen = _some(openings, plan.written)
    asked = [Asked({"prompt": opening.prompt}, seed) for seed, opening in enumerate(chosen)]
    made = subject.make(asked, tick)
    texts = ["" if media is None else media.data.decode() for media in made]
    written = [
        text.removeprefix(opening.prompt).strip()
        for text, opening in zip(texts, chosen, strict=True)
    ]
    results.texts += [text for text in texts if text][:SHOWN]
    true = [opening.rest for opening in chosen]
    other = [_another(opening, openings) for opening in chosen]
    _likeness(written, other, true, results)
    _variety(written, true, results)
    _copying(written, true, train, results)


def _another(opening: Opening, openings: Sequence[Opening]) -> str:
    """The true rest of a different held-out text of the same kind (or of any, if it is alone)."""
    same = [o for o in openings if o.kind == opening.kind and o is not opening]
    rng = random.Random(step_seed("another", opening.prompt))
    return rng.choice(same or list(openings)).rest


def _likeness(
    written: Sequence[str], other: Sequence[str], true: Sequence[str], results: Results
) -> None:
    targets = [[text] for text in true]
    values = {}
    for who, texts in (("model", written), ("other", other)):
        bleu = float(bleu_score(list(texts), targets, n_gram=BLEU_WORDS, smooth=True))
        keys = ("rouge1", "rougeL")
        rouge = rouge_score(list(texts), list(true), rouge_keys=keys)
        values[who] = (bleu, *(float(rouge[f"{key}_fmeasure"]) for key in keys))
    note = f"against the true text of {len(true)} held-out openings"
    for name, value, reference in zip(
        (f"bleu{BLEU_WORDS}", "rouge1", "rougeL"), values["model"], values["other"], strict=True
    ):
        results.figures.append(Figure(name, value, "", OTHER_GLOSS, reference, note=note))


def _variety(written: Sequence[str], true: Sequence[str], results: Results) -> None:
    """As many words of each: the share of different n-grams falls with length."""
    ours, real = ([word for text in texts for word in words_of(text)] for texts in (written, true))
    length = min(len(ours), len(real))
    for n in (1, 2, 3):
        value, reference = distinct(ours[:length], n), distinct(real[:length], n)
        note = f"share of different {n}-grams among {length:,} words"
        results.figures.append(Figure(f"distinct_{n}", value, "", REAL, reference, note=note))


def distinct(words: Sequence[str], n: int) -> float:
    """The share of different n-grams among all, in [0, 1]; 0 where there is none."""
    grams = list(zip(*(words[shift:] for shift in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else 0.0


def _copying(
    written: Sequence[str], true: Sequence[str], train: Sequence[Line], results: Results
) -> None:
    corpus = Corpus([line.texts[0] for line in train])
    ours, real = ([corpus.longest_run(text) for text in texts] for texts in (written, true))
    lengths, true_lengths = ([len(words_of(t)) for t in texts] for texts in (written, true))
    results.figures += [
        Figure(
            "copied_share",
            sum(ours) / max(1, sum(lengths)),
            "",
            REAL,
            sum(real) / max(1, sum(true_lengths)),
            "lower",
            note="words of the longest stretch that stands in a training text, of all words",
        ),
        Figure(
            "quotations",
            sum(run >= COPIED_WORDS for run in ours) / max(1, len(ours)),
            "",
            REAL,
            sum(run >= COPIED_WORDS for run in real) / max(1, len(real)),
            "lower",
            note=f"share of texts with {COPIED_WORDS} or more words of one training text in a row",
        ),
    ]


def _some(items: Sequence[Any], count: int) -> list[Any]:
    """A fixed random choice, in the items' order."""
    rng = random.Random(step_seed("held out", len(items)))
    chosen = sorted(rng.sample(range(len(items)), min(count, len(items))))
    return [items[index] for index in chosen]
