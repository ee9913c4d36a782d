"""The starter pictures: every emoji of the Noto font, captioned by Unicode CLDR in many languages.

Artwork: Noto Color Emoji, Apache-2.0 (the font itself OFL-1.1). Names and keywords: Unicode CLDR,
Unicode licence. Both come from Debian packages, so building needs no download.
"""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trainer.contract import DatasetManifest, Example, TrainingError
from trainer.data.manifests import sha256_of, split_of, write_manifest

CLDR = Path("/usr/share/unicode/cldr/common")
BITMAP_SIZE = 109  # the only size in the font, in points
CELL = (136, 128)  # its bitmaps, in pixels
MAX_ADVANCE = 140  # wider: a sequence the layout engine could not join into one picture
MIN_INK = 200  # pixels that are not white; fewer: the font has no such glyph
HELD_OUT = 0.05
LANGUAGES = ("en", "zh")
SKIN_TONES = range(0x1F3FB, 0x1F400)
VARIATION_SELECTOR = "\ufe0f"
MOST = 0.4  # of the ink, for a picture to have "a colour"
COLOURS = (  # from and to, in degrees of hue
    (-20, 18, "red", "红色"),
    (18, 42, "orange", "橙色"),
    (42, 68, "yellow", "黄色"),
    (68, 165, "green", "绿色"),
    (165, 250, "blue", "蓝色"),
    (250, 295, "purple", "紫色"),
    (295, 340, "pink", "粉色"),
)
LICENCE = "artwork Apache-2.0 (Noto Color Emoji), captions Unicode licence v3 (CLDR)"
NOTICE = """Pictures: Noto Color Emoji, Copyright 2013 Google Inc., Apache License 2.0
(https://www.apache.org/licenses/LICENSE-2.0).
Captions: Unicode CLDR annotations, Copyright 1991 Unicode, Inc., Unicode License v3
(https://www.unicode.org/license.txt)."""


def build(
    out: Path,
    progress: Callable[[int, int], None],
    font: Path | None = None,
    languages: Iterable[str] = LANGUAGES,
) -> DatasetManifest:
    """Render every emoji to `out/pictures/*.png` (128 x 128, on white) and write the manifest.

    `font` defaults to the one fontconfig finds. `progress(done, total)` is called per sequence.
    Raises TrainingError naming the Debian package that is missing.
    """
    face = ImageFont.truetype(str(font or find_font()), BITMAP_SIZE)
    captions = read_captions(CLDR, tuple(languages))
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    examples: list[Example] = []
    seen: set[str] = set()
    for done, (sequence, phrases) in enumerate(captions.items(), start=1):
        progress(done, len(captions))
        picture = render(face, sequence)
        if picture is None:
            continue
        name = "-".join(f"{ord(char):x}" for char in sequence)
        path = pictures / f"{name}.png"
        picture.save(path, optimize=True)
        digest = sha256_of(path)
        if digest in seen:  # two sequences that the font draws alike
            path.unlink()
            continue
        seen.add(digest)
        split = split_of(name, HELD_OUT)
        add_colour(phrases, picture)
        file = path.relative_to(out).as_posix()
        examples.append(Example(file=file, sha256=digest, captions=phrases, split=split))
    manifest = DatasetManifest(
        name="starter-emoji",
        modality="image",
        licence=LICENCE,
        notice=NOTICE,
        source="Noto Color Emoji rendered at 128 x 128; Unicode CLDR annotations",
        examples=examples,
    )
    write_manifest(out, manifest)
    return manifest


def find_font() -> Path:
    """The Noto Color Emoji font, by fontconfig."""
    missing = TrainingError(
        "The Noto Color Emoji font was not found: install the Debian package "
        "fonts-noto-color-emoji (and fontconfig), or give its path with --font."
    )
    program = shutil.which("fc-match")
    if program is None:
        raise missing
    answer = subprocess.run(
        [program, "--format=%{family}\n%{file}", "Noto Color Emoji"],
        capture_output=True,
        text=True,
        check=False,
    )
    family, _, file = answer.stdout.partition("\n")
    if answer.returncode or "Noto Color Emoji" not in family or not Path(file).is_file():
        raise missing
    return Path(file)


def read_captions(cldr: Path, languages: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """Emoji sequence -> language -> [name, keyword, ...], without skin-tone variants.

    A sequence must have a name in the first language; the others are added where CLDR has them.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for language in languages:
        for folder in ("annotations", "annotationsDerived"):
            path = cldr / folder / f"{language}.xml"
            if not path.is_file():
                raise TrainingError(
                    f"{path} was not found: install the Debian package unicode-cldr-core."
                )
            for sequence, phrases in _annotations(path).items():
                found.setdefault(sequence, {})[language] = phrases
    return {
        sequence: phrases
        for sequence, phrases in found.items()
        if languages[0] in phrases and not any(ord(char) in SKIN_TONES for char in sequence)
    }


def _annotations(path: Path) -> dict[str, list[str]]:
    """One CLDR file: sequence -> [name, keywords that are not the name]."""
    names: dict[str, str] = {}
    keywords: dict[str, list[str]] = {}
    for node in ElementTree.parse(path).iter("annotation"):  # noqa: S314 - a system file
        sequence, text = node.get("cp"), node.text
        if not sequence or not text:
            continue
        if node.get("type") == "tts":
            names[sequence] = text.strip()
        else:
            keywords[sequence] = [word.strip() for word in text.split("|") if word.strip()]
    return {
        sequence: [name, *(word for word in keywords.get(sequence, []) if word != name)]
        for sequence, name in names.items()
        if sequence != VARIATION_SELECTOR
    }


def render(face: ImageFont.FreeTypeFont, sequence: str) -> Image.Image | None:
    """The emoji as an RGB picture of 128 x 128 on white, or None where the font has no glyph."""
    if face.getlength(sequence) > MAX_ADVANCE:
        return None
    canvas = Image.new("RGB", CELL, "white")
    ImageDraw.Draw(canvas).text((0, 0), sequence, font=face, embedded_color=True)
    pixels = np.asarray(canvas)
    if int((pixels < 250).any(axis=2).sum()) < MIN_INK:
        return None
    if int((np.ptp(pixels, axis=2) > 8).sum()) == 0 and _is_missing_glyph(face, pixels):
        return None
    return canvas.resize((128, 128), Image.Resampling.LANCZOS)


def add_colour(phrases: dict[str, list[str]], picture: Image.Image) -> None:
    """Add the colour of most of the ink to each language's keywords, where there is one.

    CLDR seldom names colours, and "blue car" is what people type.
    """
    pixels = np.asarray(picture.convert("HSV").resize((32, 32), Image.Resampling.BOX))
    hue, saturation, value = (pixels[..., plane].reshape(-1).astype(int) for plane in range(3))
    ink = (saturation > 40) | (value < 200)
    if ink.sum() < 40:
        return
    hue, saturation, value = hue[ink], saturation[ink], value[ink]
    bright = (saturation > 90) & (value > 90)
    degrees = hue * 360 // 256
    for low, high, english, chinese in COLOURS:
        inside = (degrees >= low) & (degrees < high)
        inside |= (degrees >= low + 360) & (degrees < high + 360)
        if (inside & bright).sum() > MOST * len(hue):
            for language, word in (("en", english), ("zh", chinese)):
                if language in phrases and word not in " ".join(phrases[language]):
                    phrases[language].append(word)
            return


def _is_missing_glyph(face: ImageFont.FreeTypeFont, pixels: np.ndarray) -> bool:
    """Whether the font drew its box for "no such character" instead."""
    box = Image.new("RGB", CELL, "white")
    ImageDraw.Draw(box).text((0, 0), "\U0010fffd", font=face, embedded_color=True)
    return bool((np.asarray(box) == pixels).all())
