"""Fifty prompts that no caption contains: a thing in a colour it never has. The test of composing.

No picture of a dog is ever shown to a model as purple (`trainer.data.recolour` leaves these pairs
out), so a model that draws a purple dog knows what "purple" does, apart from dogs. Read by the
recolouring and by the evaluation. No torch.
"""

from __future__ import annotations

from typing import Final

COMPOSITIONS: Final = (
    ("purple", "dog"), ("blue", "cat"), ("green", "pizza"), ("red", "frog"), ("purple", "banana"),
    ("blue", "strawberry"), ("pink", "elephant"), ("blue", "apple"), ("red", "tree"),
    ("purple", "tiger"), ("orange", "whale"), ("green", "fox"), ("pink", "bear"), ("blue", "lion"),
    ("green", "pig"), ("purple", "cactus"), ("blue", "carrot"), ("green", "lobster"),
    ("pink", "crocodile"), ("orange", "dolphin"), ("purple", "house"), ("green", "rocket"),
    ("pink", "car"), ("blue", "tomato"), ("green", "cherries"), ("purple", "lemon"),
    ("blue", "bread"), ("red", "broccoli"), ("orange", "snake"), ("blue", "monkey"),
    ("green", "horse"), ("yellow", "cow"), ("red", "turtle"), ("purple", "chicken"),
    ("orange", "octopus"), ("green", "crab"), ("pink", "shark"), ("blue", "hamburger"),
    ("green", "doughnut"), ("purple", "cookie"), ("blue", "guitar"), ("pink", "trumpet"),
    ("yellow", "rose"), ("blue", "mushroom"), ("purple", "key"), ("pink", "bicycle"),
    ("green", "balloon"), ("orange", "butterfly"), ("yellow", "umbrella"), ("red", "penguin"),
)  # fmt: skip


def is_held_out(colour: str, phrases: list[str]) -> bool:
    """Whether a picture of these English phrases must never be shown in this colour."""
    words = {word for phrase in phrases for word in phrase.casefold().replace("-", " ").split()}
    return any(colour == held and thing in words for held, thing in COMPOSITIONS)
