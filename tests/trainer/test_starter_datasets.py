"""The builders of the starter datasets, on the real font, annotations and WordNet."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from trainer.contract import DatasetManifest, TrainingError
from trainer.data import audio, general_midi, starter_emoji, starter_instruments, starter_lexicon
from trainer.data.checking import check
from trainer.data.starter_lexicon import Synset, clean_word, entries, read_synsets
from trainer.evaluation.pitch import pitch_of

Need = Callable[[bool, str], None]


def font() -> Path | None:
    try:
        return starter_emoji.find_font()
    except TrainingError:
        return None


@pytest.fixture(scope="module")
def emoji(tmp_path_factory: pytest.TempPathFactory, need: Need) -> tuple[Path, DatasetManifest]:
    need(font() is not None, "Debian package fonts-noto-color-emoji")
    need(starter_emoji.CLDR.is_dir(), "Debian package unicode-cldr-core")
    folder = tmp_path_factory.mktemp("emoji")
    original = starter_emoji.read_captions

    def every_fifteenth(cldr: Path, languages: tuple[str, ...]) -> dict:
        wanted = {"❤", "🍕", "🚀"}
        captions = original(cldr, languages)
        kept = [key for number, key in enumerate(captions) if key in wanted or number % 15 == 0]
        return {key: captions[key] for key in kept}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starter_emoji, "read_captions", every_fifteenth)
        return folder, starter_emoji.build(folder, lambda done, total: None)


def test_emoji_are_rendered_with_captions_in_both_languages(
    emoji: tuple[Path, DatasetManifest],
) -> None:
    folder, manifest = emoji
    assert check(folder) == []
    by_name = {example.captions["en"][0]: example for example in manifest.examples}
    heart = by_name["red heart"]
    assert heart.captions["zh"][0] == "红心"
    with Image.open(folder / heart.file) as picture:
        assert picture.size == (128, 128)
        red, green, blue = picture.getpixel((64, 64))
    assert red > 180 > 120 > max(green, blue)
    assert {example.split for example in manifest.examples} == {"train", "held_out"}


def test_every_emoji_has_a_name_and_no_skin_tone(need: Need) -> None:
    need(starter_emoji.CLDR.is_dir(), "Debian package unicode-cldr-core")
    captions = starter_emoji.read_captions(starter_emoji.CLDR, ("en", "zh"))
    assert len(captions) > 1500
    assert all(phrases["en"][0] for phrases in captions.values())
    assert not any(0x1F3FB <= ord(char) <= 0x1F3FF for key in captions for char in key)


def test_what_the_font_cannot_draw_is_left_out(need: Need) -> None:
    path = font()
    need(path is not None, "Debian package fonts-noto-color-emoji")
    face = ImageFont.truetype(str(path), starter_emoji.BITMAP_SIZE)
    assert starter_emoji.render(face, "🚀") is not None
    assert starter_emoji.render(face, "\U0010fffd") is None
    assert starter_emoji.render(face, "漢") is None


def test_a_clear_colour_becomes_a_keyword() -> None:
    blue, striped = Image.new("RGB", (64, 64), "blue"), Image.new("RGB", (64, 64), "white")
    captions = {"en": ["car"], "zh": ["汽车"]}
    starter_emoji.add_colour(captions, blue)
    assert captions == {"en": ["car", "blue"], "zh": ["汽车", "蓝色"]}
    starter_emoji.add_colour(captions, striped)
    assert captions["en"] == ["car", "blue"]


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match="unicode-cldr-core"):
        starter_emoji.read_captions(tmp_path, ("en",))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TrainingError, match="fonts-noto-color-emoji"):
        starter_emoji.find_font()
    monkeypatch.setattr(starter_lexicon, "WORDNET", tmp_path)
    with pytest.raises(TrainingError, match="wordnet-base"):
        starter_lexicon.build(tmp_path / "out", lambda done, total: None)


def test_the_lexicon_is_split_by_meaning(tmp_path: Path, need: Need) -> None:
    need((starter_lexicon.WORDNET / "data.noun").is_file(), "Debian package wordnet-base")
    manifest = starter_lexicon.build(tmp_path, lambda done, total: None)
    assert "Princeton University" in manifest.notice
    lines = {
        example.split: [
            json.loads(line) for line in (tmp_path / example.file).read_text().splitlines()
        ]
        for example in manifest.examples
    }
    assert len(lines["train"]) + len(lines["held_out"]) == 117_659
    assert 0.015 < len(lines["held_out"]) / 117_659 < 0.025
    pizza = [text for line in lines["train"] for text in line["texts"] if text[:7] == "pizza ("]
    assert pizza[0].startswith("pizza (noun, food): Italian open pie")
    assert pizza[1].startswith("pizza (noun): Italian open pie")


def test_a_line_of_wordnet_becomes_entries(tmp_path: Path) -> None:
    path = tmp_path / "data.verb"
    path.write_text(
        "  1 a licence line\n"
        '00001740 36 v 02 bake 0 oven_cook(a) 0 001 @ 0 v 0000 | cook by heat; "bake a pie"\n',
        encoding="utf-8",
    )
    (synset,) = read_synsets(path)
    assert synset == Synset(
        key="v00001740",
        words=("bake", "oven cook"),
        part_of_speech="verb",
        domain="creation",
        gloss="cook by heat",
        example="bake a pie",
        rare=False,
    )
    assert entries(synset) == [
        'to bake (verb, creation): cook by heat. "bake a pie"',
        'to oven cook (verb, creation): cook by heat. "bake a pie"',
        'to bake (verb): cook by heat. "bake a pie"',
    ]
    assert clean_word("galore(ip)") == "galore"


@pytest.fixture(scope="module")
def instruments(
    tmp_path_factory: pytest.TempPathFactory, need: Need
) -> tuple[Path, DatasetManifest]:
    need(shutil.which("fluidsynth") is not None, "Debian package fluidsynth")
    need(starter_instruments.SOUNDFONT.is_file(), "Debian package fluid-soundfont-gm")
    folder = tmp_path_factory.mktemp("instruments")
    scores = list(starter_instruments.all_scores())
    few = [(program, notes[::7]) for program, notes in (scores[40], scores[128])]  # violin, drums
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starter_instruments, "all_scores", lambda: few)
        return folder, starter_instruments.build(folder, lambda done, total: None)


def test_every_note_is_rendered_in_tune_with_its_labels(
    instruments: tuple[Path, DatasetManifest],
) -> None:
    folder, manifest = instruments
    assert check(folder) == []
    violins = [e for e in manifest.examples if e.labels["sound"] == "Violin"]
    assert len(violins) == 9
    for example in violins[2:7]:
        heard = pitch_of(audio.decode(folder, example).numpy())
        assert heard == pytest.approx(example.labels["pitch"], abs=0.5)
        assert example.captions["zh"][0] == "小提琴"
    drums = [e for e in manifest.examples if e.labels["kit"]]
    assert {e.labels["pitch"] for e in drums} == {0}
    assert all(e.captions["en"][-1] == "standard kit" for e in drums)


def test_no_note_is_in_both_splits(instruments: tuple[Path, DatasetManifest]) -> None:
    splits: dict[tuple[object, ...], set[str]] = {}
    for example in instruments[1].examples:
        key = tuple(example.labels[name] for name in ("sound", "pitch", "kit"))
        splits.setdefault(key, set()).add(example.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "held_out"}


def test_the_tables_hold_all_of_general_midi_in_both_languages() -> None:
    table = general_midi.sounds()
    assert len(table) == len({sound.name for sound in table}) == 128 + 47
    assert [sound.number for sound in table[:128]] == list(range(128))
    assert [sound.number for sound in table[128:]] == list(range(35, 82))
    for sound in table:
        assert sound.captions["en"]
        assert sound.captions["zh"]
        assert sound.is_drum == (sound.high == 0)
        assert sound.is_drum or 33 <= sound.low < sound.high <= 89


def test_a_missing_soundfont_names_its_package(tmp_path: Path, need: Need) -> None:
    need(shutil.which("fluidsynth") is not None, "Debian package fluidsynth")
    with pytest.raises(TrainingError, match="fluid-soundfont-gm"):
        starter_instruments.find_soundfont(tmp_path / "none.sf2")
