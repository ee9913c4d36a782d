"""Is it more than one picture, and not one it was shown? Diversity, sets, memorisation. Torch."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.data.order import step_seed
from trainer.evaluation import distances, protocols
from trainer.evaluation.figures import Skipped
from trainer.evaluation.session import FOUR_SEEDS, Session
from trainer.evaluation.sheets import side_by_side
from trainer.evaluation.subject import as_picture

SHOWN_PAIRS = 24
CLOSE = 0.05  # a drawing nearer to a training picture than this share of held-out ones is close


def measure(session: Session) -> None:
    """All of it; needs no more of the judge than its features."""
    _diversity(session)
    _sets(session)


def _diversity(session: Session) -> None:
    """Four seeds of a keyword beside the real pictures that share it: the same request, answered
    by drawing and by looking up. A name has one real picture only, so its drawings may agree."""
    groups = protocols.keyword_groups(session.gallery.captions)
    shared = {
        word: group
        for word, group in groups.items()
        if sum(session.gallery.trained[i] for i in group) >= FOUR_SEEDS
    }
    keywords = list(shared or groups)[: session.plan.four_seeds]
    names = _known_names(session)[: session.plan.four_seeds]
    if not names or not keywords:
        session.results.skipped.append(Skipped("diversity", "There are too few captions."))
        return
    real = distances.mean_spread([_features(session, groups[word]) for word in keywords])
    session.add(
        "diversity", _spread(session, keywords), real,
        reference_name="the real pictures that share those keywords", target=0.5 * real,
        note=f"mean distance between four drawings of one keyword, over {len(keywords)} keywords",
    )  # fmt: skip
    everywhere = distances.mean_spread([_features(session, group) for group in groups.values()])
    session.add(
        "diversity_of_names", _spread(session, names), everywhere,
        reference_name="real pictures that share any keyword",
        note=f"the same for {len(names)} full names, each of which was one picture in training",
    )  # fmt: skip


def _known_names(session: Session) -> list[str]:
    trained = [
        captions["en"][0]
        for captions, was in zip(session.gallery.captions, session.gallery.trained, strict=True)
        if was and captions.get("en")
    ]
    known = {name.casefold() for name in trained}
    names = [name for name in protocols.COMMON_NAMES if name.casefold() in known]
    return names or sorted(trained)


def _spread(session: Session, prompts: Sequence[str]) -> float:
    """Mean distance between the drawings of one prompt from four seeds, over the prompts."""
    asked = [prompt for prompt in prompts for _ in range(FOUR_SEEDS)]
    drawn = session.draw(asked, [seed for _ in prompts for seed in range(FOUR_SEEDS)])
    return distances.mean_spread(session.gallery.judge.features(drawn).split(FOUR_SEEDS))


def _sets(session: Session) -> None:
    """Distances of whole sets, and to the nearest training picture."""
    trained = [i for i, was in enumerate(session.gallery.trained) if was]
    captioned = [i for i in trained if session.gallery.captions[i].get("en")]
    rng = random.Random(step_seed("from_captions"))
    asked = rng.sample(captioned, min(session.plan.from_captions, len(captioned)))
    if len(asked) < 3:
        session.results.skipped.append(Skipped("fid", "There are too few captions."))
        return
    prompts = [session.gallery.captions[i]["en"][0] for i in asked]
    drawn = session.draw(prompts, [step_seed(prompt) % 2**32 for prompt in prompts])
    features = session.gallery.judge.features(drawn)
    everything = list(range(len(session.gallery.captions)))
    some = set(rng.sample(everything, min(len(asked), len(everything) // 2)))
    rest = _features(session, [i for i in everything if i not in some])
    half = _features(session, sorted(some))
    _set_distances(session, rest, half, features)
    _inception(session, drawn, sorted(some))
    _memorisation(session, drawn, prompts, features, trained)


def _features(session: Session, indices: Sequence[int]) -> Tensor:
    return session.gallery.features[torch.tensor(indices)]


def _set_distances(session: Session, rest: Tensor, half: Tensor, features: Tensor) -> None:
    name = "real pictures against the other real ones"
    same = features[: len(half)]
    session.add(
        "fid", distances.frechet_distance(rest, same), distances.frechet_distance(rest, half),
        reference_name=name, better="lower",
        note=f"Fréchet distance of {len(same)} drawings from captions to {len(rest)} real "
        "pictures, in the judge's features",
    )  # fmt: skip
    session.add(
        "kid", distances.kernel_distance(rest, same), distances.kernel_distance(rest, half),
        reference_name=name, better="lower", note="kernel distance of the same sets",
    )  # fmt: skip


def _inception(session: Session, drawn: Tensor, real: Sequence[int]) -> None:
    made = session.gallery.judge.logits(drawn[: len(real)])
    session.add(
        "inception_score", distances.inception_score(made),
        distances.inception_score(session.gallery.logits[torch.tensor(real)]),
        reference_name="as many real pictures",
        note="how certain and how different the judge's answers are, in pictures",
    )  # fmt: skip


def _memorisation(
    session: Session,
    drawn: Tensor,
    prompts: Sequence[str],
    features: Tensor,
    trained: Sequence[int],
) -> None:
    known = session.gallery.train_features
    found, places = distances.nearest(features, known)
    held_out = session.gallery.held_out_features
    if len(held_out):
        real, _ = distances.nearest(held_out, known)
        name = "held-out pictures"
        session.add("nearest_training", float(found.median()), float(real.median()), name,
                  note="median distance to the nearest training picture")  # fmt: skip
        bound = float(real.quantile(CLOSE))
        session.add("close_to_training", float((found < bound).float().mean()), CLOSE, name,
                  better="lower", note="share of drawings nearer to a training picture than "
                  "all but a twentieth of the held-out ones")  # fmt: skip
    order = found.argsort()[:SHOWN_PAIRS].tolist()
    pairs = [
        (as_picture(drawn[i]), as_picture(session.gallery.picture(trained[int(places[i])])))
        for i in order
    ]
    labels = [f"{prompts[i]} ({float(found[i]):.2f})" for i in order]
    session.results.add_sheet(
        "memorisation.png", side_by_side(pairs, labels, 6),
        "Drawings (left) nearest to a training picture (right), with their distance",
    )  # fmt: skip
