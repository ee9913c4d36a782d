"""What a prompt says of a note is understood, and what is part of a sound's name is left alone."""

import pytest

from generators import notes
from generators.notes import Wish


@pytest.mark.parametrize(
    ("prompt", "wish"),
    [
        ("violin C4", Wish("violin", pitch=60)),
        ("Bb3 trumpet", Wish("trumpet", pitch=58)),
        ("f#5 flute", Wish("flute", pitch=78)),
        ("B flat 3 sax", Wish("sax", pitch=58)),
        ("小提琴 A4", Wish("小提琴", pitch=69)),
        ("升F4 长笛", Wish("长笛", pitch=66)),
        ("中央C钢琴", Wish("钢琴", pitch=60)),
        ("guitar in E", Wish("guitar in", pitch_class=4)),
        ("high flute", Wish("flute", register=1)),
        ("低沉的钢琴", Wish("钢琴", register=-1)),
        ("very soft piano", Wish("piano", loudness=-1)),
        ("用力敲军鼓", Wish("敲军鼓", loudness=1)),
        ("short loud violin", Wish("violin", loudness=1, length=-1)),
        ("持续的合唱", Wish("合唱", length=1)),
        ("soft loud piano", Wish("piano")),
        ("C4", Wish("", pitch=60)),
    ],
)
def test_words_about_the_note_are_taken_out(prompt: str, wish: Wish) -> None:
    assert notes.read(prompt) == wish


@pytest.mark.parametrize(
    "prompt",
    ["low tom", "high bongo", "long whistle", "short guiro", "低音提琴", "高音萨克斯", "低音鼓",
     "a piano", "808 kick", "8 bit lead", "bass drum", "honky-tonk piano", "French horn"],
)  # fmt: skip
def test_words_of_a_sounds_own_name_stay(prompt: str) -> None:
    wish = notes.read(prompt)
    assert wish == Wish(prompt)
    assert not wish.says_something


def test_every_note_has_a_name_that_is_read_back() -> None:
    for pitch in range(12, 128):
        assert notes.read(f"harp {notes.name(pitch)}").pitch == pitch
