"""One evaluation from end to end: choose the measures that fit, run them, write down the outcome.

What is measured follows from what the generator can do (draw from words, enlarge, write, sound),
not from its name, so a hub model is examined like a starter. Torch; started by `trainer.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from generators.registry import ModelEntry
from generators.settings import GeneratorSettings
from generators.weights import WeightsManifest, read_manifest, write_manifest
from trainer.contract import TrainingError
from trainer.data import manifests
from trainer.evaluation import card, drawings, reconstruction, session, sounds, writings
from trainer.evaluation.audio_judge import AudioJudge
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.picture_judge import PictureJudge
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.subject import Subject
from trainer.progress import Reporter
from trainer.versions import quieten_libraries

CARD_NAME = "README.md"
DIGITS = 4  # significant ones of a figure in the manifest


@dataclass(frozen=True, slots=True)
class Examination:
    """What to measure, on what, how thoroughly, and where to write it (None: nowhere)."""

    entry: ModelEntry
    dataset: Path
    judge: Path
    quick: bool
    out: Path | None
    settings: GeneratorSettings

    def run(self, report: Reporter) -> Results:
        """Measure and write. Raises TrainingError in words, WeightsError for broken weights."""
        quieten_libraries()
        subject = Subject.load(self.entry, self.settings)
        quieten_libraries()
        chosen = self._measures(subject)
        if not chosen:
            raise TrainingError(f"There is no measure for what {self.entry.generator} makes.")
        done, total = 0, sum(effort for effort, _ in chosen)

        def tick(items: int) -> None:
            nonlocal done
            done = min(done + items, total)
            report("progress", done=done, total=total)

        results = Results()
        for _, measure in chosen:
            results.join(measure(tick))
        report("progress", done=total, total=total)
        if self.out is not None:
            self._write(self.out, results)
        return results

    def _measures(self, subject: Subject) -> list[tuple[int, Callable[[Tick], Results]]]:
        """(items to make, how) of every measure that applies."""
        found: list[tuple[int, Callable[[Tick], Results]]] = []
        if subject.spec.modality == "text":
            texts = writings.QUICK if self.quick else writings.FULL
            found.append(
                (texts.written + min(texts.read, 2500),
                 lambda tick: writings.measure(subject, self.dataset, texts, tick))
            )  # fmt: skip
        if subject.spec.modality == "audio":
            heard = sounds.QUICK if self.quick else sounds.FULL
            found.append((heard.total, lambda tick: self._sounded(subject, heard, tick)))
        if subject.spec.modality != "image":
            return found
        if subject.can("prompt"):
            plan = session.QUICK if self.quick else session.FULL
            found.append((plan.total, lambda tick: self._drawn(subject, plan, tick)))
        elif subject.can("upscale"):
            found.append(
                (2 * reconstruction.MAX_PICTURES,
                 lambda tick: reconstruction.measure_enlarger(subject, self.dataset, tick))
            )  # fmt: skip
        folder = self.entry.folder
        autoencoder = reconstruction.find_autoencoder(folder) if folder is not None else None
        if autoencoder is not None:
            found.append(
                (reconstruction.MAX_PICTURES,
                 lambda tick: reconstruction.measure_autoencoder(autoencoder, self.dataset, tick))
            )  # fmt: skip
        return found

    def _drawn(self, subject: Subject, plan: session.Plan, tick: Tick) -> Results:
        try:
            judge = PictureJudge.load(self.judge)
        except OSError as error:
            raise TrainingError(f"There is no judge of pictures in {self.judge}: {error}") from None
        gallery = Gallery.load(judge, self.dataset)
        return drawings.measure(subject, gallery, plan, tick)

    def _sounded(self, subject: Subject, plan: sounds.Plan, tick: Tick) -> Results:
        try:
            judge = AudioJudge.load(self.judge)
        except OSError as error:
            raise TrainingError(f"There is no judge of sounds in {self.judge}: {error}") from None
        return sounds.measure(subject, self.dataset, judge, plan, tick)

    def _write(self, out: Path, results: Results) -> None:
        """Sheets, the card, and the figures in `atelier.json`; weights stay as they are."""
        out.mkdir(parents=True, exist_ok=True)
        for name, picture in results.sheets.items():
            picture.save(out / name, optimize=True)
        manifest = read_manifest(out)
        if manifest is not None:
            write_manifest(out, with_figures(manifest, results))
        path = out / CARD_NAME
        dataset = manifests.read_manifest(self.dataset)
        old = (
            path.read_text(encoding="utf-8")
            if path.is_file()
            else card.fresh(self.entry.name, manifest, dataset)
        )
        text = card.rewritten(
            old, results.figures, results.skipped, results.captions, results.texts
        )
        path.write_text(text, encoding="utf-8")


def with_figures(manifest: WeightsManifest, results: Results) -> WeightsManifest:
    """The manifest with each figure under its name, its reference under `<name>_reference`."""
    figures: dict[str, float | str] = dict(manifest.figures)
    for figure in results.figures:
        figures[figure.name] = rounded(figure.value)
        if figure.reference is not None:
            figures[f"{figure.name}_reference"] = rounded(figure.reference)
    return manifest.model_copy(update={"figures": figures})


def rounded(value: float) -> float:
    """To four significant digits."""
    return float(f"{value:.{DIGITS}g}")
