"""The model card as an evaluation leaves it: figures beside their references, sheets, samples.

The trainer writes a card when a run ends (`trainer.export`); here its sections `Evaluation` and
`Samples` are replaced, and every other word of it stays. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from generators.weights import WeightsManifest
from trainer.contract import DatasetManifest
from trainer.evaluation.figures import Figure, Skipped, shown

EVALUATION, SAMPLES = "Evaluation", "Samples"


def rewritten(
    old: str,
    figures: Sequence[Figure],
    skipped: Sequence[Skipped],
    sheets: Mapping[str, str],
    texts: Sequence[str],
) -> str:
    """The card with these figures; `sheets` maps file names to what they show."""
    head, sections = _split(old)
    shown_first = [name for name in sheets if name == "samples.png"]
    for name in shown_first:
        if f"]({name})" not in head:
            head = f"{head}\n\n![samples]({name})"
    rest = {name: caption for name, caption in sheets.items() if name not in shown_first}
    sections[EVALUATION] = _figures(figures, skipped, rest)
    if texts:
        sections[SAMPLES] = "```text\n" + "\n".join(text.strip() for text in texts) + "\n```"
    order = [name for name in sections if name not in (EVALUATION, SAMPLES, "Limits")]
    order += [name for name in (EVALUATION, SAMPLES, "Limits") if name in sections]
    parts = [head, *(f"## {name}\n\n{sections[name]}" for name in order)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def fresh(name: str, manifest: WeightsManifest | None, dataset: DatasetManifest) -> str:
    """A card for weights that came without one."""
    summary = manifest.summary.get("en", "") if manifest is not None else ""
    licence = manifest.licence if manifest is not None else ""
    return (
        f"# {name}\n\n{summary}\n\n## Data and licence\n\n"
        f"Licence: {licence or 'not stated with the weights'}. Measured on `{dataset.name}` "
        f"({dataset.licence}).\n\n## Limits\n\nWhat is not measured above is not known.\n"
    )


def _split(card: str) -> tuple[str, dict[str, str]]:
    """(what stands above the first section, title -> text of each section)."""
    head, *pieces = re.split(r"^## ", card, flags=re.MULTILINE)
    sections = {}
    for piece in pieces:
        title, _, text = piece.partition("\n")
        sections[title.strip()] = text.strip()
    return head.strip(), sections


def _figures(
    figures: Sequence[Figure], skipped: Sequence[Skipped], sheets: Mapping[str, str]
) -> str:
    rows = ["| figure | value | reference | target | |", "|---|---|---|---|---|"]
    rows += [_row(figure) for figure in figures]
    explained: dict[str, list[str]] = {}
    for figure in figures:
        explained.setdefault(figure.note, []).append(f"`{figure.name}`")
    notes = [f"* {', '.join(names)}: {note}." for note, names in explained.items() if note]
    notes += [f"* `{skip.name}` was not measured: {skip.reason}" for skip in skipped]
    pictures = [f"{caption}:\n\n![{caption}]({name})" for name, caption in sheets.items()]
    return "\n\n".join(["\n".join(rows), "\n".join(notes), *pictures])


def _row(figure: Figure) -> str:
    reference = shown(figure.reference, figure.unit)
    if reference and figure.reference_name:
        reference = f"{reference} ({figure.reference_name})"
    sign = "≥" if figure.better == "higher" else "≤"
    target = f"{sign} {shown(figure.target, figure.unit)}" if figure.target is not None else ""
    verdict = {None: "", True: "reached", False: "missed"}[figure.met]
    value = shown(figure.value, figure.unit)
    return f"| {figure.name} | {value} | {reference} | {target} | {verdict} |"
