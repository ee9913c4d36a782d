"""Figures speak for themselves: verdicts, the table, the card that keeps a person's words."""

from __future__ import annotations

import io

from rich.console import Console

from bot.cli_evaluation import table_of
from trainer.evaluation import card
from trainer.evaluation.figures import Figure, Skipped, shown

GOOD = Figure("name_top5", 0.84, "", "the judge on the real pictures", 0.99, target=0.8, note="n")
BAD = Figure("perplexity", 30.0, "", "interpolated trigram", 38.0, "lower", target=22.8)
PLAIN = Figure("psnr", 26.44, "dB")


def test_a_figure_knows_whether_and_by_how_much_it_misses() -> None:
    assert (GOOD.met, BAD.met, PLAIN.met) == (True, False, None)
    assert (GOOD.missed_by, PLAIN.missed_by) == (0, 0)
    assert round(BAD.missed_by, 6) == 7.2


def test_values_are_shown_for_people() -> None:
    assert shown(26.44, "dB") == "26.4 dB"
    assert shown(12345.6) == "12,346"
    assert shown(None, "dB") == ""


def test_the_table_has_value_reference_target_and_verdict() -> None:
    drawn = io.StringIO()
    table = table_of([figure.to_json() for figure in (GOOD, BAD, PLAIN)])
    Console(width=120, file=drawn).print(table)
    good, bad, plain = drawn.getvalue().splitlines()[1:4]
    for word in ("name_top5", "0.84", "0.99", "the judge on the real", ">= 0.8", "ok"):
        assert word in good
    assert "missed" in bad
    assert "<= 22.8" in bad
    assert "26.4 dB" in plain


def test_the_card_gets_new_figures_and_keeps_every_other_word() -> None:
    old = (
        "# A model\n\nWords.\n\n## Training\n\nHow it was.\n\n"
        "| figure | value |\n|---|---|\n| train_loss | 0.3 |\n\n## Limits\n\nMany.\n"
    )
    skipped = [Skipped("fid", "There are too few captions.")]
    sheets = {"samples.png": "Samples", "memorisation.png": "Nearest"}
    new = card.rewritten(old, [GOOD, BAD], skipped, sheets, ["a text"])
    for part in (
        "How it was.",
        "| train_loss | 0.3 |",
        "Many.",
        "![samples](samples.png)",
        "(memorisation.png)",
        "a text",
    ):
        assert part in new
    assert "| name_top5 | 0.84 | 0.99 (the judge on the real pictures) | ≥ 0.8 | reached |" in new
    assert "| perplexity | 30.0 | 38.0 (interpolated trigram) | ≤ 22.8 | missed |" in new
    assert "`fid` was not measured: There are too few captions." in new
    titles = [line for line in new.splitlines() if line.startswith("## ")]
    assert titles == ["## Training", "## Evaluation", "## Samples", "## Limits"]
    again = card.rewritten(new, [GOOD, BAD], skipped, sheets, ["a text"])
    assert again == new, "evaluating twice changes nothing"
