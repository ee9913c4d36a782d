"""The forgiving text encoder: what spellings share, and that padding changes nothing."""

import torch

from generators.nn.words import HashedWords, pieces, split_words, word_ids


def test_words_of_both_languages() -> None:
    assert split_words("Two RED hearts, café!") == ["two", "red", "hearts", "cafe"]
    assert split_words("红心") == ["红心"]
    assert split_words("红苹果 cat") == ["红苹", "苹果", "cat"]


def test_a_plural_and_a_misspelling_share_most_pieces() -> None:
    def shared(left: str, right: str) -> float:
        a, b = set(pieces(left)), set(pieces(right))
        return len(a & b) / len(a | b)

    assert shared("elephant", "elephants") > 0.6
    assert shared("elephant", "elefant") > 0.2 > shared("elephant", "rocket")


def test_ids_are_the_same_in_any_batch_and_never_out_of_range() -> None:
    alone = word_ids(["green apple"], 500)
    together = word_ids(["x" * 200, "green apple", ""], 500)
    assert torch.equal(alone[0], together[1])
    assert together.max() <= 500
    assert not together[2].any()


def test_neighbours_do_not_change_a_text() -> None:
    torch.manual_seed(0)
    net = HashedWords(width=16, buckets=500, table_width=8).eval()
    alone = net(net.ids(["green apple"]))
    together = net(net.ids(["", "a much longer text about a green apple", "green apple"]))
    for one, many in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], many[2])
    pooled, _, mask = together
    assert pooled.isfinite().all()
    assert mask[0].tolist() == [True] + [False] * 11


def test_a_misspelling_is_nearer_than_another_word() -> None:
    torch.manual_seed(0)
    net = HashedWords(width=32, buckets=8192).eval()
    right, wrong, other = net(net.ids(["elephant", "elephants", "rocket"]))[0]
    similarity = torch.nn.functional.cosine_similarity
    assert similarity(right, wrong, 0) > similarity(right, other, 0)
