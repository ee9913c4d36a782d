"""The held-out rule must not depend on order, case or the other pictures, or training leaks."""

from __future__ import annotations

from itertools import combinations

from trainer.data.paraphrases import held_out_paraphrases, is_held_out, training_pairs

WORDS = [f"word{number}" for number in range(60)]


def test_the_rule_looks_at_the_pair_alone() -> None:
    for first, second in combinations(WORDS[:12], 2):
        assert is_held_out(first, second) == is_held_out(second.upper(), f" {first}")


def test_about_a_fifth_is_held_out_and_the_rest_is_for_training() -> None:
    pairs = list(combinations(WORDS, 2))
    kept = training_pairs(WORDS)
    assert 0.75 < len(kept) / len(pairs) < 0.85
    assert not any(is_held_out(*pair) for pair in kept)


def test_prompts_are_held_out_pairs_with_every_picture_that_carries_both() -> None:
    captions = [{"en": [f"thing {number}", *WORDS[number : number + 6]]} for number in range(40)]
    found = held_out_paraphrases(captions, count=20)
    assert 10 < len(found) <= 20
    for paraphrase in found:
        assert is_held_out(*paraphrase.keywords)
        for index, phrases in enumerate(captions):
            carries = set(paraphrase.keywords) <= set(phrases["en"][1:])
            assert (index in paraphrase.pictures) == carries


def test_a_pair_that_repeats_the_name_is_no_paraphrase() -> None:
    first, second = next(pair for pair in combinations(WORDS, 2) if is_held_out(*pair))
    named = {"en": [f"{first} {second}", first, second]}
    other = {"en": ["something", first, second]}
    assert held_out_paraphrases([named]) == []
    assert held_out_paraphrases([named, other])[0].pictures == (0, 1)
    assert held_out_paraphrases([named], language="zh") == []
