"""Copying, variety and the whole way of a text model: figures, card, and weights left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from generators.weights import read_manifest, weights_hash
from trainer.__main__ import main
from trainer.evaluation.copying import Corpus
from trainer.evaluation.writings import Opening, distinct

CORPUS = Corpus(["the grey owl sings while seven boats sleep.", "seven boats, and a sea of glass"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The grey owl sings", 4),
        ("my grey owl sings loudly", 3),
        ("boats sleep. seven boats", 3),  # the run does not cross from one text into the next
        ("grey glass", 1),
        ("unknown words only", 0),
        ("", 0),
    ],
)
def test_the_longest_copied_run_is_counted_in_words(text: str, words: int) -> None:
    assert CORPUS.longest_run(text) == words


def test_distinct_n_is_the_share_of_different_ngrams() -> None:
    words = ["a", "b", "a", "b"]
    assert distinct(words, 1) == 0.5
    assert distinct(words, 2) == pytest.approx(2 / 3)
    assert distinct(words, 5) == 0


def test_an_entry_opens_with_its_head_and_other_texts_with_three_words() -> None:
    entry = Opening.of("to bake (verb, creation): make bread (and cake).")
    assert entry == Opening(
        "to bake (verb, creation):", "make bread (and cake).", "(verb, creation)"
    )
    assert Opening.of("one two three four five") == Opening("one two three", "four five", "")


@pytest.fixture(scope="module")
def weights(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("language")
    state = torch.get_rng_state()
    arguments = ["train", "tiny_language_model", "--data", str(texts), "--out", str(out), "--json"]
    assert main([*arguments, "--no-tensorboard"]) == 0
    torch.set_rng_state(state)
    return out / "weights"


def test_evaluation_writes_figures_and_card_and_leaves_the_weights_alone(
    weights: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights_hash(weights)
    card = weights / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\n## Thanks\n\nTo the owls.\n")
    capsys.readouterr()
    assert main(["evaluate", str(weights), "--data", str(texts), "--quick", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    figures: dict[str, Any] = {e["name"]: e for e in events if e["event"] == "figure"}
    assert {"perplexity", "rougeL", "bleu2", "distinct_2", "copied_share"} <= figures.keys()
    # Two steps of training: a trigram of forty texts is far ahead, and the table says so.
    assert figures["perplexity"]["met"] is False
    assert figures["perplexity"]["value"] > figures["perplexity"]["reference"] > 1
    assert events[-1]["event"] == "done"

    assert weights_hash(weights) == before
    manifest = read_manifest(weights)
    assert manifest is not None
    assert manifest.figures["perplexity"] == float(f"{figures['perplexity']['value']:.4g}")
    assert "perplexity_reference" in manifest.figures
    text = card.read_text(encoding="utf-8")
    assert "interpolated trigram" in text
    assert text.count("## Evaluation") == 1
    assert text.index("## Thanks") < text.index("## Evaluation") < text.index("## Limits")
    assert "To the owls." in text


def test_weights_that_nobody_knows_are_declined_in_words(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stuff").mkdir()
    arguments = ["--data", str(texts), "--models-file", str(tmp_path / "none.toml"), "--json"]
    assert main(["evaluate", str(tmp_path / "stuff"), *arguments]) == 2
    assert "atelier models add" in json.loads(capsys.readouterr().out)["message"]
    assert main(["evaluate", "nonsense", *arguments]) == 2
    assert "nonsense" in json.loads(capsys.readouterr().out)["message"]
