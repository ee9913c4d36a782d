"""Measures of any model that draws from words: recognised, composed, diverse, not copied. Torch."""

from __future__ import annotations

from trainer.evaluation import recognition, variety
from trainer.evaluation.figures import Skipped
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.session import Plan, Session
from trainer.evaluation.sheets import labelled
from trainer.evaluation.subject import Subject

COLUMNS = 8


def measure(subject: Subject, gallery: Gallery, plan: Plan, tick: Tick) -> Results:
    """Everything, in the order of the table."""
    session = Session(subject, gallery, plan, tick)
    if gallery.picture_of is None:
        reason = "The judge knows the starter emoji; this dataset holds other pictures."
        for name in ("name_top5", "paraphrase_top5", "composition_rate"):
            session.results.skipped.append(Skipped(name, reason))
    else:
        recognition.measure(session)
    variety.measure(session)
    if session.sheet:
        pictures, labels = zip(*session.sheet, strict=True)
        caption = "The first names and compositions of the fixed lists, seed 0, not chosen"
        session.results.add_sheet("samples.png", labelled(pictures, labels, COLUMNS), caption)
    return session.results
