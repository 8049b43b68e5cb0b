"""Where exams come from: digital patients, folders of a BIDS dataset, rows of a manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import SimpleITK as sitk

from SynthCBVLib.imaging.study import Modality, Study


@dataclass(frozen=True)
class Regions:
    """Regions of one exam.

    Attributes
    ----------
    masks : Mapping
        Name ("Tumour 1", ..., "White matter 1", ...) to mask; empty where none were drawn.
    drawn_on : Modality or None
        The image whose grid they lie on; None where only their header tells.
    """

    masks: Mapping[str, sitk.Image]
    drawn_on: Modality | None


class Exam(Protocol):
    """An exam, open."""

    def study(self) -> Study:
        """Give the images."""

    def regions(self, reference: Modality) -> Regions:
        """Give the regions for ratios on the map that has the grid of an image."""

    def transforms(self, reference: Modality) -> Mapping[Modality, sitk.Transform] | None:
        """Give the transforms of all images to a reference where they are known."""

    def brain(self, reference: Modality) -> sitk.Image | None:
        """Give the brain mask on a reference where it is known."""


class Source(Protocol):
    """Where an exam comes from; can be pickled."""

    def open(self, modalities: Sequence[Modality]) -> Exam:
        """Read or simulate it; images of other modalities are not needed."""

    def key(self) -> str:
        """Give what of the source decides the outcome, for names of prepared files."""


@dataclass(frozen=True)
class DigitalSource:
    """A digital patient.

    Attributes
    ----------
    seed, kind : int, str
        As for `DigitalPatient`.
    known : bool
        Take the true transforms and brain mask instead of finding them as for a user's study.
    measured : bool
        Simulate the real rCBV map, which takes most of the time.
    """

    seed: int
    kind: str
    known: bool = False
    measured: bool = True

    def key(self) -> str:
        """Give what decides the outcome."""
        return f"{self.seed} {self.kind} {self.known} {self.measured}"

    def open(self, modalities: Sequence[Modality]) -> Exam:
        """Simulate the images."""
        wanted = [m for m in modalities if self.measured or m is not Modality.RCBV]
        return _DigitalExam(self, wanted)


class _DigitalExam:
    def __init__(self, source: DigitalSource, modalities: Sequence[Modality]) -> None:
        from SynthCBVLib.phantom import DigitalPatient

        self._source = source
        self._patient = DigitalPatient(source.seed, idh=source.kind)
        self._study = self._patient.study(modalities)
        self._truths: dict[Modality, object] = {}

    def study(self) -> Study:
        return self._study

    def _truth(self, reference: Modality) -> object:
        if reference not in self._truths:
            self._truths[reference] = self._patient.truth(reference)
        return self._truths[reference]

    def regions(self, reference: Modality) -> Regions:
        truth = self._truth(reference)
        masks = {f"Tumour {i}": mask for i, mask in enumerate(truth.tumour, 1)}
        masks |= {f"White matter {i}": mask for i, mask in enumerate(truth.white_matter, 1)}
        return Regions(masks, reference)

    def transforms(self, reference: Modality) -> Mapping[Modality, sitk.Transform] | None:
        if not self._source.known:
            return None
        return {m: self._patient.transform(m, reference) for m in self._study.images if m != reference}

    def brain(self, reference: Modality) -> sitk.Image | None:
        return self._truth(reference).brain if self._source.known else None


@dataclass(frozen=True)
class FolderSource:
    """A scan in a BIDS dataset.

    Attributes
    ----------
    folder : Path
        Of the subject or session.
    regions : Path or None
        Label image of regions.
    """

    folder: Path
    regions: Path | None = None

    def key(self) -> str:
        """Give what decides the outcome: the files with their sizes and times."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files += [] if self.regions is None else [self.regions]
        return " ".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)

    def open(self, modalities: Sequence[Modality]) -> Exam:
        """Read the images."""
        from SynthCBVLib.imaging.files import read_study

        return _StudyExam(read_study(self.folder), self.regions)


@dataclass(frozen=True)
class ManifestSource:
    """A row of a manifest.

    Attributes
    ----------
    manifest : Path
        The table.
    subject : str
        The row.
    """

    manifest: Path
    subject: str

    def key(self) -> str:
        """Give what decides the outcome: the row's files with their sizes and times."""
        row = self._row()
        files = [*row.files.values(), *([row.regions] if row.regions else [])]
        told = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
        return " ".join([*told, repr(row.b_values), repr(row.post_label_delay), repr(row.label_duration)])

    def open(self, modalities: Sequence[Modality]) -> Exam:
        """Read the images."""
        row = self._row()
        return _StudyExam(row.study(), row.regions)

    def _row(self):
        from SynthCBVLib.imaging.manifest import read_manifest

        return next(row for row in read_manifest(self.manifest) if row.subject == self.subject)


class _StudyExam:
    def __init__(self, study: Study, regions: Path | None) -> None:
        from SynthCBVLib.imaging.files import read_regions

        self._study = study
        masks = read_regions(regions) if regions is not None else {}
        space = re.search(r"_space-([A-Za-z0-9]+)", regions.name) if regions is not None else None
        named = {modality.value.lower(): modality for modality in Modality}
        self._regions = Regions(masks, named.get(space[1].lower()) if space else None)

    def study(self) -> Study:
        return self._study

    def regions(self, reference: Modality) -> Regions:
        return self._regions

    def transforms(self, reference: Modality) -> None:
        return None

    def brain(self, reference: Modality) -> None:
        return None
