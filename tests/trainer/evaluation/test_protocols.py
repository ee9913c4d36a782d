"""What counts as a right answer is decided here, so it is tested here."""

from __future__ import annotations

from trainer.data.compositions import COMPOSITIONS
from trainer.evaluation.protocols import (
    COMMON_NAMES,
    composition_questions,
    keyword_groups,
    name_questions,
    paraphrase_questions,
)
from trainer.evaluation.recognition import misspelt

CAPTIONS = [
    {"en": ["fire", "flame", "tool"]},
    {"en": ["fire engine", "engine", "fire", "truck"]},
    {"en": ["man shrugging", "doubt"]},
    {"en": ["person shrugging", "doubt"]},
    {"en": ["dog face", "dog", "pet"]},
    {"en": ["hot dog", "sausage"]},
    {"zh": ["无名"]},
]
TRAINED = [True, True, True, True, False, True, True]


def test_a_name_is_answered_by_its_own_picture_only() -> None:
    (fire, hot_dog) = name_questions(CAPTIONS, TRAINED)
    assert (fire.prompt, fire.accepted) == ("fire", {0}), "a fire engine is no fire"
    assert hot_dog.prompt == "hot dog"
    assert "dog face" in COMMON_NAMES, "which is left out above: the model never saw it"


def test_who_is_shown_makes_no_difference() -> None:
    captions = [{"en": ["thumbs up"]}, {"en": ["man: thumbs up"]}, {"en": ["thumbs down"]}]
    (question,) = name_questions(captions, [True] * 3)
    assert question.accepted == {0, 1}


def test_a_composition_is_answered_by_anything_that_is_the_thing() -> None:
    questions = {question.prompt: question for question in composition_questions(CAPTIONS)}
    assert questions["purple dog"].accepted == {4}, "a hot dog is no dog"
    assert questions["purple dog"].colour == "purple"
    assert len(COMPOSITIONS) == 50


def test_a_paraphrase_is_answered_by_every_picture_with_both_words() -> None:
    words = [f"word{number}" for number in range(8)]
    captions = [{"en": ["one", *words]}, {"en": ["two", *words[:5]]}, {"en": ["three", *words]}]
    for question in paraphrase_questions(captions, [True, True, False]):
        asked = set(question.prompt.split())
        carriers = {i for i, c in enumerate(captions) if asked <= set(c["en"])}
        assert question.accepted == carriers


def test_groups_share_a_keyword_that_few_have() -> None:
    assert keyword_groups(CAPTIONS) == {"doubt": [2, 3]}
    assert keyword_groups([{"en": ["x", "same"]}] * 20, largest=12) == {}


def test_a_slip_drops_one_letter_of_the_longest_word() -> None:
    assert misspelt("red heart") == "red hert"
    assert misspelt("fire") == "fie"
