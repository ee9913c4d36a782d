"""Sounds from words: a prompt is read, a note chosen, its picture drawn and turned into a waveform.

`notes.read` takes pitch, register, loudness and length out of the prompt, the net's listener says
which sounds the rest may mean, and the seed chooses among the likely ones, so that four seeds of
"guitar" are four guitars. All is computed in float64: what strangers in the batch change in the
last digits is then far below a step of 16 bit samples. Torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generators import media_audio, notes
from generators.contract import BadRequest, Generated, GenerateRequest, Media, OnStep, Step
from generators.media import Provenance
from generators.nn.mel import FRAMES, GRIFFIN_LIM_STEPS, HOP, SAMPLE_RATE, waveform
from generators.nn.one_shot import Notes, OneShot
from generators.nn.words import split_words
from generators.registry import ModelEntry
from generators.runtime import Runtime, content_hash, rng, tensors_bytes
from generators.weights import WeightsError

DEFAULT_S = 1.2
LENGTHS_S = {-1: 0.4, 1: 1.8}  # where "short" or "long" was said and no duration asked for
RELEASE_S = 0.35  # of the duration, at its end: a held note dies away in it
EDGE_S = 0.03  # the last bit of a sound that still rings is faded, against a click
LIKELY = 0.4  # sounds less likely than this share of the likeliest are not meant
VELOCITIES = {-1: (38, 54), 0: (68, 92), 1: (106, 120)}
PEAKS = {-1: 0.35, 0: 0.7, 1: 0.95}  # of the waveform, by loudness
BEYOND = 10  # semitones that "low" and "high" go beyond the notes that suit a sound
STEPS_BETWEEN = 10  # Griffin-Lim steps from one report to the next
FRAMES_APART = 32  # sounds of about one length are turned into waveforms together


@dataclass(slots=True, eq=False)
class _Item:
    """One sound to be: everything that was drawn for it, in the order it was drawn."""

    request: GenerateRequest
    seed: int
    random: torch.Generator
    sound: int
    kit: int
    pitch: int
    velocity: float
    peak: float
    duration_s: float
    z: Tensor  # (latent,) float64


class Model:
    """A loaded `OneShot`. Manifest `limits` it understands: `max_seconds`."""

    libraries = ("torch", "numpy", "av", "pillow")

    def __init__(self, net: OneShot, entry: ModelEntry, device: torch.device) -> None:
        self.net = net.to(device)
        self.entry = entry
        self.memory_bytes = tensors_bytes([net])
        self._device = device
        self._hash = content_hash(entry)
        longest = FRAMES * HOP / SAMPLE_RATE
        self.max_seconds = min(float(entry.limits.get("max_seconds", longest)), longest)

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime) -> Model:
        """Load from the entry's folder. Raises WeightsError where it holds no such net."""
        try:
            net = OneShot.from_pretrained(Path(entry.weights), torch.float64)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"{entry.weights} holds no one-shot player: {error}") from error
        return cls(net, entry, runtime.device)

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[GenerateRequest], on_step: OnStep
    ) -> list[Generated | BadRequest]:
        """Play all sounds of the batch together; see `contract.Model`."""
        problems: dict[str, BadRequest] = {}
        items: list[_Item] = []
        for request in requests:
            try:
                items += self._items(request)
            except BadRequest as error:
                problems[request.job_id] = error
        clips = self._play(items, on_step)
        return [
            problems.get(request.job_id) or self._answer(request, items, clips)
            for request in requests
        ]

    # ---- what to play

    def _items(self, request: GenerateRequest) -> list[_Item]:
        """The sounds of one request. Raises BadRequest for what cannot be played."""
        prompt: str = request.params.prompt  # type: ignore[attr-defined]
        wish = notes.read(prompt)
        if not split_words(wish.words) and not wish.says_something:
            raise BadRequest(
                "There is nothing in this prompt that the model can read; name an instrument.",
                "提示里没有模型能读懂的内容；请写一种乐器。",
            )
        duration_s = self._duration(request, wish)
        sounds, kits = self._likely(wish)
        return [
            self._item(request, seed, wish, duration_s, sounds, kits)
            for seed in request.item_seeds()
        ]

    def _duration(self, request: GenerateRequest, wish: notes.Wish) -> float:
        asked: float | None = request.params.duration_s  # type: ignore[attr-defined]
        if asked is None:
            default = float(self.entry.defaults.get("duration_s", DEFAULT_S))
            return min(LENGTHS_S.get(wish.length, default), self.max_seconds)
        if asked > self.max_seconds:
            raise BadRequest(
                f"This model plays at most {self.max_seconds:g} seconds.",
                f"这个模型最多演奏 {self.max_seconds:g} 秒。",
            )
        return asked

    def _likely(self, wish: notes.Wish) -> tuple[Tensor, Tensor]:
        """Chances of each sound and of each kit, (S,) and (kits,): those not meant have none. A
        note without an instrument may be played by any sound that has notes."""
        if not split_words(wish.words):
            pitched = [float(sound.high > 0) for sound in self.net.config.sounds]
            equal = torch.tensor(pitched if any(pitched) else [1.0] * len(pitched))
            return equal, torch.ones(self.net.config.kits - 1)
        ids = self.net.listener.words.ids([wish.words]).to(self._device)
        sounds, kits = (logits[0].cpu() for logits in self.net.listener(ids))
        return _meant(sounds), _meant(kits[1:])

    def _item(
        self,
        request: GenerateRequest,
        seed: int,
        wish: notes.Wish,
        duration_s: float,
        sounds: Tensor,
        kits: Tensor,
    ) -> _Item:
        random = rng(seed)
        chance = torch.rand(4, generator=random, dtype=torch.float64).tolist()
        sound = _choice(sounds, chance[0])
        low, high = VELOCITIES[wish.loudness]
        pitch = self._pitch(sound, wish, chance[1])
        return _Item(
            request=request,
            seed=seed,
            random=random,
            sound=sound,
            kit=0 if pitch else 1 + _choice(kits, chance[2]),
            pitch=pitch,
            velocity=low + chance[3] * (high - low),
            peak=PEAKS[wish.loudness],
            duration_s=duration_s,
            z=torch.randn(self.net.config.latent, generator=random, dtype=torch.float64),
        )

    def _pitch(self, index: int, wish: notes.Wish, chance: float) -> int:
        """The note: as asked, in an octave the sound has; else one that suits it. 0: unpitched."""
        sound = self.net.config.sounds[index]
        if sound.high == 0:
            return 0
        lowest, highest = sound.pitches
        first, last = {
            -1: (sound.low - BEYOND, sound.low - 2),
            0: (sound.low, sound.high),
            1: (sound.high + 2, sound.high + BEYOND),
        }[wish.register]
        pitch = min(max(first + int(chance * (last - first + 1)), lowest), highest)
        if wish.pitch is not None:
            pitch = wish.pitch
        elif wish.pitch_class is not None:
            pitch += (wish.pitch_class - pitch) % 12
        while pitch < lowest:
            pitch += 12
        while pitch > highest and pitch - 12 >= lowest:
            pitch -= 12
        return min(pitch, highest)

    # ---- playing

    def _play(self, items: Sequence[_Item], on_step: OnStep) -> dict[int, np.ndarray]:
        """The waveforms, (T,) float32 each, by the item's place."""
        groups: dict[int, list[int]] = {}  # frames -> places of the items
        for place, item in enumerate(items):
            groups.setdefault(_frames(item.duration_s), []).append(place)
        total = 1 + len(groups) * (GRIFFIN_LIM_STEPS // STEPS_BETWEEN)
        done = 0

        def report(step: int = 0) -> None:
            nonlocal done
            if step % STEPS_BETWEEN == 0:
                done += 1
                on_step(Step(done, total))

        pictures = self._pictures(items) if items else torch.empty(0)
        report()
        clips: dict[int, np.ndarray] = {}
        for frames, places in sorted(groups.items()):
            rngs = [items[place].random for place in places]
            samples = waveform(pictures[places, :, :frames], rngs, report)
            for place, clip in zip(places, samples.cpu().numpy(), strict=True):
                clips[place] = _finished(clip, items[place].duration_s, items[place].peak)
        return clips

    def _pictures(self, items: Sequence[_Item]) -> Tensor:
        """Log-mel pictures of all items: (B, MELS, FRAMES) float64."""
        played = Notes(
            sound=torch.tensor([item.sound for item in items]),
            kit=torch.tensor([item.kit for item in items]),
            pitch=_column([item.pitch for item in items]),
            velocity=_column([item.velocity for item in items]),
            hold_s=_column([max(item.duration_s - RELEASE_S, 0.1) for item in items]),
        )
        there = Notes(*(value.to(self._device) for value in played.columns().values()))
        return self.net.player(there, torch.stack([item.z for item in items]).to(self._device))

    def _answer(
        self, request: GenerateRequest, items: Sequence[_Item], clips: Mapping[int, np.ndarray]
    ) -> Generated:
        media: list[Media] = []
        own = [place for place, item in enumerate(items) if item.request is request]
        for place in own:
            item = items[place]
            facts: dict[str, Any] = {"sound": self.net.config.sounds[item.sound].name}
            if item.pitch:
                facts["note"] = notes.name(item.pitch)
            provenance = Provenance("audio_gan", self._hash, item.seed)
            title = " · ".join(map(str, facts.values()))
            media += media_audio.clip(clips[place], SAMPLE_RATE, title, facts, provenance)
        used = {**request.params.model_dump(), "duration_s": items[own[0]].duration_s}
        return Generated(media, used)


def _meant(logits: Tensor) -> Tensor:
    """Chances of those that are nearly as likely as the likeliest; the others have none."""
    chances = logits.double().softmax(0)
    return chances * (chances >= LIKELY * chances.max())


def _choice(chances: Tensor, chance: float) -> int:
    """The place that `chance` in [0, 1) falls on."""
    total = chances.double().cumsum(0)
    found = int(torch.searchsorted(total, chance * total[-1], right=True))
    return min(found, len(chances) - 1)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _frames(duration_s: float) -> int:
    """Frames to be turned into a waveform: no more than a sound of this length needs, in few
    different numbers, and always the same for the same length."""
    needed = math.ceil(duration_s * SAMPLE_RATE / HOP) + 1
    return min(FRAMES, math.ceil(needed / FRAMES_APART) * FRAMES_APART)


def _finished(clip: np.ndarray, duration_s: float, peak: float) -> np.ndarray:
    """Cut to the duration, brought to the peak, and with its last bit faded."""
    length = round(duration_s * SAMPLE_RATE)
    edge = min(round(EDGE_S * SAMPLE_RATE), length)
    cut = clip[:length] * (peak / max(float(np.abs(clip[:length]).max()), 1e-6))
    cut[length - edge :] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, edge))
    return cut.astype(np.float32)
