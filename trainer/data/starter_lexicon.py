"""The starter texts: WordNet 3.0 as dictionary entries, `pizza (noun, food): Italian open pie ...`.

Source: the Debian package `wordnet-base` (permissive licence; its notice goes with the weights).
Entries are split by synset, so that no held-out meaning was seen under another word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.contract import DatasetManifest, Example, Split, TrainingError
from trainer.data.manifests import sha256_of, split_of, write_manifest

WORDNET = Path("/usr/share/wordnet")
COPYRIGHT = Path("/usr/share/doc/wordnet-base/copyright")
HELD_OUT = 0.02
RARE_WEIGHT = (
    0.25  # share of epochs that show a proper name or a taxon: they are a third of WordNet
)
PARTS_OF_SPEECH = {
    "n": "noun",
    "v": "verb",
    "a": "adjective",
    "s": "adjective",
    "r": "adverb",
}
# Lexicographer files by number (lexnames(5WN)); adjectives and adverbs have no domain.
NOUN_DOMAINS = (
    "thing act animal artifact attribute body cognition communication event feeling food group "
    "location motive object person phenomenon plant possession process quantity relation shape "
    "state substance time"
)
VERB_DOMAINS = (
    "body change cognition communication competition consumption contact creation emotion "
    "motion perception possession social stative weather"
)
DOMAINS = dict(enumerate(NOUN_DOMAINS.split(), start=3)) | dict(
    enumerate(VERB_DOMAINS.split(), start=29)
)


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning: its words, part of speech, domain ("" for none), gloss and first example."""

    key: str
    words: tuple[str, ...]
    part_of_speech: str
    domain: str
    gloss: str
    example: str
    rare: bool


def build(out: Path, progress: Callable[[int, int], None]) -> DatasetManifest:
    """Write `train.jsonl`, `held_out.jsonl` and the manifest; a line is one synset.

    Raises TrainingError naming the Debian package that is missing.
    """
    if not (WORDNET / "data.noun").is_file() or not COPYRIGHT.is_file():
        raise TrainingError(
            f"{WORDNET}/data.noun was not found: install the Debian package wordnet-base."
        )
    out.mkdir(parents=True, exist_ok=True)
    parts = ("noun", "verb", "adj", "adv")
    lines: dict[Split, list[str]] = {"train": [], "held_out": []}
    for done, part in enumerate(parts, start=1):
        for synset in read_synsets(WORDNET / f"data.{part}"):
            line = {"texts": entries(synset), "weight": RARE_WEIGHT if synset.rare else 1.0}
            split = split_of(synset.key, HELD_OUT)
            lines[split].append(json.dumps(line, ensure_ascii=False))
        progress(done, len(parts))
    examples = []
    for split, rows in lines.items():
        path = out / f"{split}.jsonl"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        examples.append(Example(file=path.name, sha256=sha256_of(path), split=split))
    manifest = DatasetManifest(
        name="starter-lexicon",
        modality="text",
        licence="WordNet 3.0 licence",
        source="WordNet 3.0, one entry per word of a synset",
        notice=read_notice(COPYRIGHT.read_text(encoding="utf-8")),
        examples=examples,
    )
    write_manifest(out, manifest)
    return manifest


def read_synsets(path: Path) -> Iterator[Synset]:
    """The synsets of one `data.*` file (format: wndb(5WN)) that have a gloss."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("  "):  # the licence at the top
            continue
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        count = int(fields[3], 16)
        words = [clean_word(fields[4 + 2 * index]) for index in range(count)]
        definition = re.split(r'; "| "', gloss.strip())[0].strip().strip(";:- ")
        if not definition:
            continue
        examples = re.findall(r'"([^"]{3,200})"', gloss)
        pointers = fields[4 + 2 * count :]
        yield Synset(
            key=fields[2] + fields[0],
            words=tuple(dict.fromkeys(words)),
            part_of_speech=PARTS_OF_SPEECH[fields[2]],
            domain=DOMAINS.get(int(fields[1]), ""),
            gloss=definition,
            example=examples[0].strip() if examples else "",
            rare="@i" in pointers or all(word.split()[-1][:1].isupper() for word in words),
        )


def clean_word(word: str) -> str:
    """`hot_dog(ip)` -> `hot dog`: spaces for underscores, no marks of an adjective's place."""
    return re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ")


def entries(synset: Synset) -> list[str]:
    """One entry per word, tagged with the domain, and one without (people may leave it out)."""
    tagged = [entry(synset, word, synset.domain) for word in synset.words]
    return [*tagged, entry(synset, synset.words[0], "")] if synset.domain else tagged


def entry(synset: Synset, word: str, domain: str) -> str:
    """`pizza (noun, food): a pie ... "an example."`, verbs as `to bake (verb, creation): ...`."""
    head = f"to {word}" if synset.part_of_speech == "verb" else word
    tag = f"{synset.part_of_speech}, {domain}" if domain else synset.part_of_speech
    example = f' "{synset.example}"' if synset.example else ""
    return f"{head} ({tag}): {synset.gloss}.{example}"


def read_notice(copyright_file: str) -> str:
    """The WordNet licence out of a machine-readable Debian copyright file."""
    paragraph = copyright_file.split("License: WordNet3.0\n", 1)[1].split("\n\n", 1)[0]
    lines = [line.strip() for line in paragraph.splitlines()]
    return "\n".join("" if line == "." else line for line in lines)
