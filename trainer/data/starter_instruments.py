"""The starter sounds: every General MIDI instrument and drum of the FluidR3 soundfont.

Source: the Debian packages `fluid-soundfont-gm` (FluidR3 GM, MIT) and `fluidsynth`, which renders a
MIDI file per instrument, one note per slot; no download is needed. Clips are 2 s at 16 kHz, mono,
without reverb or chorus, each note held for a time of its own, so that a model can learn when a
note ends. Split by (sound, pitch): a held-out note was never heard at another velocity either.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from trainer.contract import DatasetManifest, Example, TrainingError
from trainer.data.general_midi import FIRST_DRUM_KEY, KITS, Sound, sounds
from trainer.data.manifests import split_of, write_manifest

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
SAMPLE_RATE = 16_000
CLIP_S = 2.048  # 128 frames of 256 samples
LEAD_S = 0.01  # before the attack
SLOT_S = 2.3
TICKS_PER_S = 960  # 480 a quarter at MIDI's default of 120 quarters a minute
PITCHES = tuple(range(33, 90, 2))  # A1 to F6, each second semitone: a model fills the gaps
VELOCITIES = (56, 104)
DRUM_VELOCITIES = (40, 70, 95, 120)
HOLDS_S = (0.12, 1.7)
HELD_OUT = 0.08
SILENT = 1e-3  # peak; below it the soundfont has nothing at this note
LICENCE = "MIT (FluidR3 GM soundfont)"
NOTICE = """Sounds: rendered from the FluidR3 GM soundfont.
Copyright (c) 2000-2002, 2008 Frank Wen. Copyright (c) 2008 Toby Smithe.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


@dataclass(frozen=True, slots=True)
class Note:
    """One clip to be: `key` is the MIDI key, `kit` the number of a drum kit (0: no drum)."""

    sound: Sound
    key: int
    velocity: int
    kit: int
    hold_s: float

    @property
    def identity(self) -> str:
        """What must not be in both splits: the sound at a pitch, or of a kit."""
        return f"{self.sound.name}/{self.kit if self.sound.is_drum else self.key}"


def build(
    out: Path, progress: Callable[[int, int], None], soundfont: Path | None = None
) -> DatasetManifest:
    """Render every note to `out/clips/*.flac` (peak 0.9) and write the manifest.

    `soundfont` defaults to FluidR3 GM where Debian puts it. `progress(done, total)` is called per
    instrument. Raises TrainingError naming the Debian package that is missing.
    """
    font = find_soundfont(soundfont)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    scores = list(all_scores())
    examples: list[Example] = []
    seen: set[str] = set()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        played = pool.map(lambda score: play(font, *score), scores)
        for done, (score, clips) in enumerate(zip(scores, played, strict=True), start=1):
            for note, clip in zip(score[1], clips, strict=True):
                example = write_clip(out, note, clip, seen)
                if example is not None:
                    examples.append(example)
            progress(done, len(scores))
    manifest = DatasetManifest(
        name="starter-instruments",
        modality="audio",
        licence=LICENCE,
        notice=NOTICE,
        source="FluidR3 GM soundfont rendered by fluidsynth, one note a clip, 2 s at 16 kHz",
        examples=examples,
    )
    write_manifest(out, manifest)
    return manifest


def find_soundfont(given: Path | None = None) -> Path:
    """The soundfont, with fluidsynth to play it. Raises TrainingError for what is missing."""
    if shutil.which("fluidsynth") is None:
        raise TrainingError("fluidsynth was not found: install the Debian package fluidsynth.")
    font = given or SOUNDFONT
    if not font.is_file():
        raise TrainingError(f"{font} was not found: install the Debian package fluid-soundfont-gm.")
    return font


def all_scores() -> Iterator[tuple[int, list[Note]]]:
    """(program, notes) of every MIDI file: one an instrument, one a drum kit."""
    melodic = [sound for sound in sounds() if not sound.is_drum]
    drums = [sound for sound in sounds() if sound.is_drum]
    for sound in melodic:
        keys = [(key, velocity) for key in PITCHES for velocity in VELOCITIES]
        yield sound.number, [_note(sound, key, velocity, 0) for key, velocity in keys]
    for kit, program in enumerate(KITS, start=1):
        hits = [(sound, velocity) for sound in drums for velocity in DRUM_VELOCITIES]
        yield program, [_note(sound, sound.number, velocity, kit) for sound, velocity in hits]


def _note(sound: Sound, key: int, velocity: int, kit: int) -> Note:
    """A note held for a time that depends on nothing but the note."""
    digest = hashlib.sha256(f"{sound.name}/{key}/{velocity}/{kit}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    low, high = HOLDS_S
    return Note(sound, key, velocity, kit, round(low + share * (high - low), 3))


def play(font: Path, program: int, notes: Sequence[Note]) -> list[np.ndarray]:
    """The notes as fluidsynth plays them: float32 (T,) each, T = CLIP_S * SAMPLE_RATE."""
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder) / "score.mid", Path(folder) / "wave.wav"
        score.write_bytes(midi_file(program, notes))
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6"]
        command += ["-r", str(SAMPLE_RATE), "-F", str(wave), str(font), str(score)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not wave.is_file():
            raise TrainingError(f"fluidsynth failed: {done.stderr.strip() or 'no sound came'}.")
        samples = soundfile.read(wave, dtype="float32")[0].mean(1)
    length = round(CLIP_S * SAMPLE_RATE)
    starts = [round((slot + 1) * SLOT_S * SAMPLE_RATE) for slot in range(len(notes))]
    lead = round(LEAD_S * SAMPLE_RATE)
    clips = [samples[start - lead : start - lead + length] for start in starts]
    return [np.pad(clip, (0, length - len(clip))) for clip in clips]


def midi_file(program: int, notes: Sequence[Note]) -> bytes:
    """A standard MIDI file (format 0) with one note a slot, each silenced before the next."""
    channel = 9 if notes[0].kit else 0
    events = [(0, bytes([0xC0 | channel, program]))]
    for slot, note in enumerate(notes, start=1):
        start = slot * SLOT_S
        on, off = (
            bytes([0x90 | channel, note.key, note.velocity]),
            bytes([0x80 | channel, note.key, 0]),
        )
        silence = bytes([0xB0 | channel, 120, 0])  # "all sound off"
        for at_s, message in ((0.0, on), (note.hold_s, off), (CLIP_S + 0.1, silence)):
            events.append((round((start + at_s) * TICKS_PER_S), message))
    track, last = b"", 0
    for tick, message in events:
        track += _variable_length(tick - last) + message
        last = tick
    track += _variable_length(TICKS_PER_S) + b"\xff\x2f\x00"  # a second later, the end
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_PER_S // 2)
    return head + b"MTrk" + struct.pack(">I", len(track)) + track


def _variable_length(number: int) -> bytes:
    """MIDI's variable-length quantity: seven bits a byte, the highest first."""
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


def write_clip(out: Path, note: Note, clip: np.ndarray, seen: set[str]) -> Example | None:
    """One FLAC file and its example; None for silence, or a sound that another note has too."""
    peak = float(np.abs(clip).max())
    if peak < SILENT:
        return None
    buffer = io.BytesIO()
    soundfile.write(buffer, clip * (0.9 / peak), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    if digest in seen:
        return None
    seen.add(digest)
    sound = note.sound
    number = f"{sound.number:03d}" if not sound.is_drum else f"d{sound.number - FIRST_DRUM_KEY:02d}"
    file = f"clips/{number}-{note.kit}-{note.key:03d}-{note.velocity:03d}.flac"
    (out / file).write_bytes(buffer.getvalue())
    return Example(
        file=file,
        sha256=digest,
        captions=captions_of(note),
        labels={
            "sound": sound.name,
            "family": sound.family,
            "pitch": 0 if sound.is_drum else note.key,
            "velocity": note.velocity,
            "kit": note.kit,
            "hold_s": note.hold_s,
            "low": sound.low,
            "high": sound.high,
        },
        split=split_of(note.identity, HELD_OUT),
    )


def captions_of(note: Note) -> dict[str, list[str]]:
    """The sound's words, and those of the kit where the same drum sounds different in each."""
    if not note.sound.is_drum:
        return note.sound.captions
    kits = dict(zip(("en", "zh"), list(KITS.values())[note.kit - 1], strict=True))
    return {
        language: [
            *phrases,
            f"{kits[language].removesuffix('kit').strip()} {phrases[1]}",
            kits[language],
        ]
        for language, phrases in note.sound.captions.items()
    }
