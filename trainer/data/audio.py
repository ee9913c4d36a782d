"""Sounds and what they are called: a dataset folder -> log-mel pictures in memory, notes, captions.

Every clip is decoded once and kept as a float16 picture (24 KB for two seconds), so that a step
costs no disk. Labels tell pitch, velocity, kit and how long a note is held; a community's own
sounds need none: a clip's first caption is then the sound's name, and it counts as unpitched.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from generators.nn.mel import FRAMES, HOP, MELS, SAMPLE_RATE, picture
from generators.nn.one_shot import Notes, Sound
from trainer.contract import DatasetManifest, Example, Split, TrainingError
from trainer.data.manifests import read_manifest

LOUD = 0.9  # peak that every clip is brought to
CHUNK = 128  # clips turned into pictures at once
PREFIXES = ("a ", "an ", "the ", "one ", "single ", "sound of a ", "play a ", "a note on the ")
DEFAULT_VELOCITY = 80


@dataclass(frozen=True, slots=True)
class Clips:
    """One split of a sound dataset."""

    pictures: Tensor  # (N, MELS, FRAMES) float16, about [-1, 1]
    sounds: tuple[Sound, ...]  # of the whole dataset, both splits
    notes: Notes  # N rows
    examples: list[Example]
    folder: Path  # of the dataset

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Notes]:
        """Pictures (B, MELS, FRAMES) float32 and the notes at `indices`."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return self.pictures[chosen].float(), self.notes[chosen]


def load(folder: Path, split: Split) -> Clips:
    """Decode one split. Raises TrainingError naming a broken file."""
    manifest = read_manifest(folder)
    if manifest.modality != "audio":
        raise TrainingError(f"{folder} holds {manifest.modality}; this objective needs sounds.")
    examples = [example for example in manifest.examples if example.split == split]
    if not examples and split == "train":
        raise TrainingError(f"{folder} has no sound in its train split.")
    pictures = torch.empty(len(examples), MELS, FRAMES, dtype=torch.float16)
    for start in range(0, len(examples), CHUNK):
        some = [decode(folder, example) for example in examples[start : start + CHUNK]]
        pictures[start : start + CHUNK] = picture(torch.stack(some)).half()
    sounds = vocabulary(manifest)
    return Clips(pictures, sounds, notes_of(examples, sounds), examples, folder)


def decode(folder: Path, example: Example) -> Tensor:
    """One clip: (FRAMES * HOP,) float32 mono at SAMPLE_RATE, peak LOUD, cut or padded."""
    try:
        samples, rate = soundfile.read(folder / example.file, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"{folder / example.file} cannot be read as a sound ({error}). "
            f"`python -m trainer dataset check {folder}` lists every broken example."
        ) from error
    clip = resample(samples.mean(1), rate)[: FRAMES * HOP]
    peak = float(np.abs(clip).max(initial=1e-6))
    padded = np.pad(clip * (LOUD / peak), (0, FRAMES * HOP - len(clip)))
    return torch.from_numpy(padded.astype(np.float32))


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """A clip at SAMPLE_RATE, by cutting or padding its spectrum: exact for what both can hold."""
    if rate == SAMPLE_RATE or not len(samples):
        return samples
    length = max(1, round(len(samples) * SAMPLE_RATE / rate))
    spectrum = np.fft.rfft(samples)
    bins = length // 2 + 1
    kept = np.pad(spectrum[:bins], (0, max(0, bins - len(spectrum))))
    return np.fft.irfft(kept, length) * (length / len(samples))


def name_of(example: Example) -> str:
    """What the sound is called: its label, else its first caption, else its file."""
    captions = next((phrases for phrases in example.captions.values() if phrases), [])
    return str(example.labels.get("sound") or (captions or [Path(example.file).stem])[0])


def family_of(example: Example) -> str:
    """What kind of sound it is: its label, else the sound itself."""
    return str(example.labels.get("family") or name_of(example))


def families(manifest: DatasetManifest) -> tuple[str, ...]:
    """The families of a dataset, sorted."""
    return tuple(sorted({family_of(example) for example in manifest.examples}))


def family_numbers(clips: Clips, known: Sequence[str]) -> Tensor:
    """Each clip's family as its place among `known`: (N,) int64."""
    number = {family: index for index, family in enumerate(known)}
    return torch.tensor([number[family_of(example)] for example in clips.examples])


def vocabulary(manifest: DatasetManifest) -> tuple[Sound, ...]:
    """The sounds of a dataset by name, with the notes that suit them and those there are."""
    found: dict[str, list[Example]] = {}
    for example in manifest.examples:
        found.setdefault(name_of(example), []).append(example)
    sounds = []
    for name, examples in sorted(found.items()):
        pitches = [int(example.labels.get("pitch", 0)) for example in examples]
        low, high = (int(examples[0].labels.get(end, 0)) for end in ("low", "high"))
        sounds.append(Sound(name, low, high, (min(pitches), max(pitches))))
    return tuple(sounds)


def notes_of(examples: Sequence[Example], sounds: Sequence[Sound]) -> Notes:
    """The labels of examples as tensors."""
    number = {sound.name: index for index, sound in enumerate(sounds)}

    def column(name: str, default: float) -> Tensor:
        return torch.tensor([float(example.labels.get(name, default)) for example in examples])

    return Notes(
        sound=torch.tensor([number[name_of(example)] for example in examples], dtype=torch.long),
        kit=column("kit", 0).long(),
        pitch=column("pitch", 0),
        velocity=column("velocity", DEFAULT_VELOCITY),
        hold_s=column("hold_s", FRAMES * HOP / SAMPLE_RATE),
    )


def draw_words(example: Example, rng: random.Random) -> str:
    """What a member might type for this sound: a name or another word, in any language it has;
    in English at times with an article, in the plural, or with a slip of the finger."""
    known = [phrases for phrases in example.captions.values() if phrases]
    if not known:
        return name_of(example)
    phrases = known[0] if rng.random() < 0.6 else rng.choice(known)
    words = phrases[0] if rng.random() < 0.3 else rng.choice(phrases)
    if not words.isascii():
        return words
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(PREFIXES) + words
    if kind < 0.25 and words[-1:].isalpha() and not words.endswith("s"):
        return words + "s"
    return slip(words, rng) if kind < 0.4 else words


def slip(words: str, rng: random.Random) -> str:
    """The words with one letter left out, doubled, or exchanged with the next."""
    if len(words) < 4:
        return words
    at = rng.randrange(1, len(words) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return words[:at] + words[at + 1 :]
    if kind == 1:
        return words[:at] + words[at] + words[at:]
    return words[:at] + words[at + 1] + words[at] + words[at + 2 :]
