"""Measures of any model that sounds: recognised, in tune, near the real clip, diverse, not copied.

Every sound is asked for by words and judged as it was delivered, a WAV: what is measured is what
members hear, the listening and the way back to a waveform included. Asked are the held-out notes,
each a pair of sound and pitch (of drum and kit) that no training clip has. Torch.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from generators import notes
from generators.contract import Media
from generators.nn.mel import FRAMES, HOP, MELS, SAMPLE_RATE, SPREAD, picture, waveform
from generators.nn.one_shot import gate
from trainer.contract import Example
from trainer.data import audio
from trainer.data.order import step_seed
from trainer.evaluation.audio_judge import AudioJudge
from trainer.evaluation.distances import frechet_distance, mean_spread, nearest
from trainer.evaluation.figures import Figure, Skipped
from trainer.evaluation.pitch import cents_apart, pitch_of
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.sheets import labelled, side_by_side
from trainer.evaluation.subject import Asked, Subject
from trainer.spectrograms import drawn

RECOGNISED_TARGET = 0.75  # of the accuracy on real clips
DIVERSITY_TARGET = 0.5  # of that of real clips
IN_TUNE_CENTS = 50.0
SECONDS = FRAMES * HOP / SAMPLE_RATE  # a picture's length: a sound cut off is harder to tell
DECIBELS = SPREAD * 20 / math.log(10)  # of one unit of a picture
GROUP = 4  # seeds of one prompt
SHOWN = 24
REAL, RESTORED = "real held-out clips", "real clips after the same way back"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many held-out notes, how many groups of seeds, how many everyday words are asked."""

    notes: int
    groups: int
    words: int

    @property
    def total(self) -> int:
        """Sounds to make."""
        return self.notes + GROUP * self.groups + self.words


FULL = Plan(notes=320, groups=32, words=96)
QUICK = Plan(notes=64, groups=8, words=24)


def measure(subject: Subject, dataset: Path, judge: AudioJudge, plan: Plan, tick: Tick) -> Results:
    """Everything, in the order of the table."""
    train, held_out = audio.load(dataset, "train"), audio.load(dataset, "held_out")
    if not len(held_out):
        results = Results()
        results.skipped.append(Skipped("sound_accuracy", "The dataset has no held-out clips."))
        return results
    return Sounds(subject, judge, train, held_out, plan, tick).measure()


@dataclass
class Sounds:
    """One evaluation: the model, the judge, the clips, what was made of them."""

    subject: Subject
    judge: AudioJudge
    train: audio.Clips
    held_out: audio.Clips
    plan: Plan
    tick: Tick

    def measure(self) -> Results:
        """Make every sound once, then look at it from all sides."""
        results = Results()
        rows = chosen_notes(self.held_out, self.plan.notes)
        examples = [self.held_out.examples[row] for row in rows]
        real = self.held_out.pictures[rows].float()
        clips = self._made([(note_prompt(e), step_seed("sounds", e.file)) for e in examples])
        made = picture(clips)
        self._recognised(results, examples, real, made)
        self._in_tune(results, examples, clips)
        self._near(results, rows, examples, real, made)
        self._everyday_words(results)
        self._diverse(results)
        titles = [_title(example) for example in examples]
        some = torch.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).long().tolist()
        sheet = labelled([drawn(made[i]) for i in some], [titles[i] for i in some], 8)
        results.add_sheet("samples.png", sheet, "Held-out notes as played: time across, pitch up")
        return results

    def _made(self, asked: Sequence[tuple[str, int]]) -> Tensor:
        """Clips (N, FRAMES * HOP) of (prompt, seed), as long as the model plays (a picture's length
        at most); silence where it declines."""
        seconds = min(SECONDS, getattr(self.subject.model, "max_seconds", SECONDS))
        asked_for = [
            Asked({"prompt": prompt, "duration_s": seconds}, seed % 2**32) for prompt, seed in asked
        ]
        made = self.subject.make(asked_for, self.tick)
        return torch.stack([as_clip(media) for media in made])

    # ---- is it the sound that was asked for?

    def _recognised(
        self, results: Results, examples: Sequence[Example], real: Tensor, made: Tensor
    ) -> None:
        restored = picture(_way_back(real))
        for name, answers in {
            "sound_accuracy": self._right_sounds,
            "family_accuracy": self._right_families,
        }.items():
            value, reference, plain = (answers(p, examples) for p in (made, restored, real))
            note = (
                f"{len(examples)} unseen (sound, pitch) pairs; untouched clips {_mean(plain):.3f}"
            )
            results.figures.append(_share(name, value, reference, RESTORED, note))
        drums = [row for row, e in enumerate(examples) if e.labels.get("kit")]
        if drums:
            some = [examples[row] for row in drums]
            value, reference = (self._right_sounds(p[drums], some) for p in (made, restored))
            note = f"{len(drums)} unseen (drum, kit) pairs"
            results.figures.append(_share("drum_accuracy", value, reference, RESTORED, note))

    def _right_sounds(self, pictures: Tensor, examples: Sequence[Example]) -> list[bool]:
        guesses = self.judge.guesses(pictures)[0].tolist()
        pairs = zip(guesses, examples, strict=True)
        return [self.judge.sounds[guess] == audio.name_of(example) for guess, example in pairs]

    def _right_families(self, pictures: Tensor, examples: Sequence[Example]) -> list[bool]:
        guesses = self.judge.guesses(pictures)[1].tolist()
        pairs = zip(guesses, examples, strict=True)
        return [self.judge.families[guess] == audio.family_of(example) for guess, example in pairs]

    def _in_tune(self, results: Results, examples: Sequence[Example], clips: Tensor) -> None:
        """Against real clips that the same measure hears in tune: it does not hear all."""
        right: list[bool] = []
        for example, clip in zip(examples, clips, strict=True):
            pitch = float(example.labels.get("pitch", 0))
            if not pitch:
                continue
            real = audio.decode(self.held_out.folder, example)
            if abs(cents_apart(pitch_of(real.numpy()), pitch)) <= IN_TUNE_CENTS:
                right.append(abs(cents_apart(pitch_of(clip.numpy()), pitch)) <= IN_TUNE_CENTS)
        if right:
            note = f"{len(right)} notes whose real clips are heard in tune; octaves count as wrong"
            figure = Figure("in_tune", _mean(right), "", REAL, 1.0, note=note)
            results.figures.append(figure)

    # ---- how far from the real clips, and from those it learned from?

    def _near(
        self,
        results: Results,
        rows: Sequence[int],
        examples: Sequence[Example],
        real: Tensor,
        made: Tensor,
    ) -> None:
        hold_s = self.held_out.notes.hold_s[rows]
        neighbours = self.train.pictures[[self._neighbour(row) for row in rows]].float()
        looked_up = spectral_distance(neighbours, real, hold_s)
        results.figures.append(
            Figure(
                "log_spectral_distance", spectral_distance(made, real, hold_s), "dB",
                "the same sound's nearest trained note", looked_up,
                better="lower", note="to the real clip of the same note, while it is held",
            )
        )  # fmt: skip
        known = self.judge.features(self.train.pictures.float())
        wanted, got = self.judge.features(real), self.judge.features(made)
        some = random.Random(0).sample(range(len(known)), min(len(real), len(known)))
        results.figures.append(
            Figure(
                "frechet_distance", frechet_distance(wanted, got), "", "as many training clips",
                frechet_distance(wanted, known[some]), better="lower",
                note=f"features of the judge, {len(real)} clips",
            )
        )  # fmt: skip
        distance, index = nearest(got, known)
        results.figures.append(
            Figure(
                "nearest_training_clip", float(distance.median()), "", REAL,
                float(nearest(wanted, known)[0].median()),
                note="median distance in the judge's features; far below the reference is copying",
            )
        )  # fmt: skip
        closest = distance.argsort()[: SHOWN // 2].tolist()
        pairs = [(drawn(made[i]), drawn(self.train.pictures[index[i]].float())) for i in closest]
        sheet = side_by_side(pairs, [_title(examples[i]) for i in closest], 4)
        results.add_sheet("nearest.png", sheet, "Made (left) and its nearest training clip (right)")

    def _neighbour(self, row: int) -> int:
        """The training clip of the same sound whose note is nearest; else any clip."""
        own, known = self.held_out.notes, self.train.notes
        apart = (known.pitch - own.pitch[row]).abs() + (
            known.velocity - own.velocity[row]
        ).abs() / 99
        apart = apart + 1000 * (known.sound != own.sound[row]) + 0.5 * (known.kit != own.kit[row])
        return int(apart.argmin())

    # ---- do everyday words work, and do seeds differ?

    def _everyday_words(self, results: Results) -> None:
        """Any phrase in any language, half of the English ones misspelt; right is every sound that
        has the phrase among its captions."""
        rng = random.Random(0)
        carriers: dict[str, set[str]] = {}
        for example in self.train.examples:
            for phrase in (phrase for phrases in example.captions.values() for phrase in phrases):
                carriers.setdefault(phrase, set()).add(audio.name_of(example))
        phrases = rng.sample(sorted(carriers), min(self.plan.words, len(carriers)))
        asked = [audio.slip(p, rng) if p.isascii() and i % 2 else p for i, p in enumerate(phrases)]
        clips = self._made([(prompt, number) for number, prompt in enumerate(asked)])
        guesses = self.judge.guesses(picture(clips))[0].tolist()
        pairs = zip(guesses, phrases, strict=True)
        right = [self.judge.sounds[guess] in carriers[phrase] for guess, phrase in pairs]
        by_name: dict[str, int] = {}
        for row, example in enumerate(self.held_out.examples):
            by_name.setdefault(audio.name_of(example), row)
        rows = [
            by_name[min(carriers[p] & by_name.keys())]
            for p in phrases
            if carriers[p] & by_name.keys()
        ]
        known = self._right_sounds(
            self.held_out.pictures[rows].float(), [self.held_out.examples[row] for row in rows]
        )
        note = f"{len(asked)} phrases, English and Chinese, every other one misspelt"
        results.figures.append(_share("words_recognised", right, known, REAL, note))

    def _diverse(self, results: Results) -> None:
        rng = random.Random(1)
        by_name: dict[str, list[int]] = {}
        for row, example in enumerate(self.train.examples):
            by_name.setdefault(audio.name_of(example), []).append(row)
        names = sorted(name for name, rows in by_name.items() if len(rows) >= GROUP)
        chosen = rng.sample(names, min(self.plan.groups, len(names)))
        asked = [(name, seed) for name in chosen for seed in range(GROUP)]
        made = self.judge.features(picture(self._made(asked))).split(GROUP)
        rows = [row for name in chosen for row in rng.sample(by_name[name], GROUP)]
        real = self.judge.features(self.train.pictures[rows].float()).split(GROUP)
        value, reference = mean_spread(made), mean_spread(real)
        results.figures.append(
            Figure(
                "diversity", value, "", "real clips of one sound", reference,
                target=DIVERSITY_TARGET * reference,
                note=f"mean distance of {GROUP} seeds of one name, {len(chosen)} names",
            )
        )  # fmt: skip


def chosen_notes(clips: audio.Clips, count: int) -> list[int]:
    """One clip of each (sound, pitch, kit), evenly spread over the split: at most `count` rows."""
    firsts: dict[tuple[str, int, int], int] = {}
    for row, example in enumerate(clips.examples):
        labels = example.labels
        key = (audio.name_of(example), int(labels.get("pitch", 0)), int(labels.get("kit", 0)))
        firsts.setdefault(key, row)
    rows = list(firsts.values())
    if len(rows) <= count:
        return rows
    return [rows[index] for index in torch.linspace(0, len(rows) - 1, count).long().tolist()]


def note_prompt(example: Example) -> str:
    """How a member asks for just this note: `violin A3`; of a drum, with its kit."""
    name = audio.name_of(example).lower()
    if pitch := int(example.labels.get("pitch", 0)):
        return f"{name} {notes.name(pitch)}"
    phrases = example.captions.get("en", [])
    return f"{name}, {phrases[-1]}" if example.labels.get("kit") and phrases else name


def as_clip(media: Media | None) -> Tensor:
    """A delivered sound as (FRAMES * HOP,) float32 at the judge's rate, peak as in the dataset."""
    whole = torch.zeros(FRAMES * HOP)
    if media is None:
        return whole
    samples, rate = soundfile.read(io.BytesIO(media.data), dtype="float32", always_2d=True)
    clip = torch.from_numpy(np.ascontiguousarray(audio.resample(samples.mean(1), rate)))[
        : len(whole)
    ]
    whole[: len(clip)] = clip * (audio.LOUD / clip.abs().max().clamp(min=1e-6))
    return whole


def spectral_distance(made: Tensor, real: Tensor, hold_s: Tensor) -> float:
    """Log-spectral distance of pictures (N, MELS, FRAMES): the root of the mean square over bands,
    averaged over the frames in which the real clip sounds and its note is held, in dB."""
    sounding = (real.amax(1) > -0.95) & (gate(hold_s) > 0)  # (N, FRAMES)
    apart = (made - real).square().mean(1).sqrt() * DECIBELS
    return float((apart * sounding).sum() / sounding.sum().clamp(min=1))


def _way_back(pictures: Tensor) -> Tensor:
    """Real pictures as waveforms: what the way back alone costs."""
    clips = []
    for start, chunk in zip(range(0, len(pictures), 32), pictures.split(32), strict=True):
        rngs = [torch.Generator().manual_seed(start + row) for row in range(len(chunk))]
        clips.append(waveform(chunk.view(-1, MELS, FRAMES), rngs))
    whole = torch.cat(clips)
    return whole * (audio.LOUD / whole.abs().amax(1, keepdim=True).clamp(min=1e-6))


def _share(
    name: str, right: Sequence[bool], known: Sequence[bool], reference: str, note: str
) -> Figure:
    target = RECOGNISED_TARGET * _mean(known)
    return Figure(name, _mean(right), "", reference, _mean(known), target=target, note=note)


def _title(example: Example) -> str:
    pitch = int(example.labels.get("pitch", 0))
    return f"{audio.name_of(example)} {notes.name(pitch) if pitch else ''}".strip()


def _mean(answers: Sequence[bool]) -> float:
    return sum(answers) / max(1, len(answers))
