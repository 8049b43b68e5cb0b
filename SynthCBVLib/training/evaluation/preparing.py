"""Exams on the models' grids, each prepared once: inputs as a user's study gets them, the real map, regions.

A prepared exam is a training case (`SynthCBVLib.training.cases`) with what ratios need beside it: the grids,
the regions, and the ratios that no model changes (real rCBV, fitted f, CBF).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.regions import split_regions
from SynthCBVLib.analysis.regions.findings import check_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import read_regions, write_regions, written_whole
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.progress import Progress
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.preprocess import prepare
from SynthCBVLib.training import cases
from SynthCBVLib.training.cases import Case, load_case, preparation, save_case
from SynthCBVLib.training.evaluation.maps import laid_regions, other_maps, ratios_of, real_maps
from SynthCBVLib.training.evaluation.sources import Exam
from SynthCBVLib.training.evaluation.subjects import Subject
from SynthCBVLib.training.preparation import run_jobs

#: Counted up when prepared exams are no longer what they were.
VERSION = 1


@dataclass(frozen=True)
class Ready:
    """A prepared exam.

    Attributes
    ----------
    subject : Subject
        Whose it is.
    folder : Path
        Of this preparation.
    grid : sitk.Image
        Empty image with the geometry of the case.
    regions : Mapping
        Masks on the reference image's grid; empty where none were drawn.
    ratios : Mapping
        "real", "f" and "cbf" -> T/WM ratio, as far as there is one.
    notes : tuple of str
        What was noticed, full sentences.
    seconds : float
        CPU time of the preparation, without reading or simulating images and regions.
    digest : str
        SHA-256 of all that scores depend on.
    """

    subject: Subject
    folder: Path
    grid: sitk.Image
    regions: Mapping[str, sitk.Image]
    ratios: Mapping[str, float]
    notes: tuple[str, ...]
    seconds: float
    digest: str

    def case(self, card: ModelCard | None = None) -> Case:
        """Open the arrays, for a card whose inputs are among those prepared."""
        return load_case(self.folder / "case", card)


def covers(rich: ModelCard, card: ModelCard) -> bool:
    """Tell whether cases prepared for one card serve another."""
    return cases._found(json.dumps(preparation(rich), sort_keys=True), card) is not None


def needed_preparations(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Give the fewest of some cards whose cases serve all of them, the richest first."""
    chosen: list[ModelCard] = []
    for card in sorted(cards, key=lambda card: -card.channels):
        if not any(covers(rich, card) for rich in chosen):
            chosen.append(card)
    return chosen


def place_of(subject: Subject, card: ModelCard, folder: Path, motion: bool) -> Path:
    """Give the folder of a subject's preparation for a card; other settings have other folders."""
    what = [preparation(card), subject.source.key(), motion, VERSION]
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    return folder / subject.name / f"{card.name}-{key}"


def prepare_subjects(
    subjects: Sequence[Subject],
    cards: Sequence[ModelCard],
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    motion: bool = True,
    skip_bad: bool = False,
) -> dict[str, str]:
    """Prepare exams for several cards; what is there already stays.

    Parameters
    ----------
    subjects : sequence of Subject
        Each is read or simulated once for all cards.
    cards : sequence of ModelCard
        From `needed_preparations`.
    folder : Path
        Gets a folder for each subject.
    workers : int
        Processes; 0 works in this one.
    progress : Progress, optional
        Told of each exam; may raise `Cancelled`.
    motion : bool
        Follow the head through the volumes of the DWI, as a synthesis does.
    skip_bad : bool
        Go on without the exams that cannot be used.

    Returns
    -------
    dict
        What was wrong with the exams that were skipped, by name.
    """
    jobs = []
    for subject in subjects:
        missing = [
            card for card in cards if not (place_of(subject, card, folder, motion) / "about.json").is_file()
        ]
        if missing:
            jobs.append((subject.name, partial(_prepare_one, subject, tuple(missing), folder, motion)))
    return run_jobs(jobs, workers, progress, skip_bad)


def load_ready(subject: Subject, card: ModelCard, folder: Path, motion: bool = True) -> Ready | None:
    """Open a subject's preparation for a card; None where it is not there."""
    return open_ready(subject, place_of(subject, card, folder, motion))


def open_ready(subject: Subject, place: Path) -> Ready | None:
    """Open a preparation by its folder; None where it is not there or not whole."""
    if not (place / "about.json").is_file():
        return None
    about = json.loads((place / "about.json").read_text(encoding="utf-8"))
    regions = read_regions(place / "regions.nii.gz") if (place / "regions.nii.gz").is_file() else {}
    return Ready(
        subject, place, _grid_of(about["grid"]), regions, about["ratios"], tuple(about["notes"]),
        about["seconds"], about["digest"],
    )  # fmt: skip


def _prepare_one(subject: Subject, wanted: tuple[ModelCard, ...], folder: Path, motion: bool) -> None:
    modalities = {spec.modality for card in wanted for spec in card.inputs} | {Modality.RCBV}
    modalities |= {card.reference[0] for card in wanted}
    exam = subject.source.open([m for m in Modality if m in modalities])
    found: dict[Modality, dict[Modality, sitk.Transform]] = {}
    faults = []
    for card in wanted:
        try:
            store_ready(subject, exam, card, place_of(subject, card, folder, motion), motion, found)
        except InputError as error:  # an exam without ASL may still serve the IVIM models
            faults.append(error)
    if faults:
        raise faults[0]


def store_ready(
    subject: Subject,
    exam: Exam,
    card: ModelCard,
    place: Path,
    motion: bool = True,
    found: dict[Modality, dict[Modality, sitk.Transform]] | None = None,
) -> None:
    """Prepare one exam for one card.

    Parameters
    ----------
    subject, exam, card : Subject, Exam, ModelCard
        Whose, what and for what.
    place : Path
        The folder to make.
    motion : bool
        As for `prepare_subjects`.
    found : dict, optional
        Transforms found so far by reference, used and added to: two cards with one reference share them.

    Raises
    ------
    InputError
        If the exam does not serve the card.
    """
    from SynthCBVLib.imaging.quality import check, raise_on_error

    study = _of_card(exam.study(), card)
    reference = next((m for m in card.reference if m in study.images), card.reference[0])
    drawn, known, brain = exam.regions(reference), exam.transforms(reference), exam.brain(reference)
    begun = time.process_time()
    # Images whose transforms are known are simulated ones: nothing to look for in them.
    findings = [] if known else check(study, card)
    raise_on_error(findings, study)
    absent = [s.modality.value for s in card.inputs if s.required and s.modality not in study.images]
    if absent:
        raise InputError(
            f"subject {subject.name}", f"no {', '.join(absent)}", f"what {card.name} starts from"
        )
    shared = {} if found is None else found.setdefault(reference, {})
    prepared = prepare(study, card, {**shared, **(known or {})}, brain, motion=motion)
    shared.update({m: t for m, t in prepared.transforms.items() if m is not prepared.reference_modality})
    real, target, inside = real_maps(study, card, prepared, shared, known)
    regions = laid_regions(drawn, prepared, shared)
    images = {} if real is None else {"real": real}
    if regions:
        images |= other_maps(study, prepared, regions)
    ratios, notes = ratios_of(images, regions, subject.name)
    if regions and card.output.normalisation == "slice-maximum":
        tumour, white_matter = split_regions(regions)
        told = check_regions(next(iter(regions.values())), tumour, white_matter, slice_normalised=True)
        notes += [f"{subject.name}: {one.what}" for one in told if "normalised slice by slice" in one.what]
    case = Case(
        subject.name,
        prepared.channels.astype(np.float16),
        prepared.present,
        target.astype(np.float16),
        sitk.GetArrayFromImage(prepared.mask),
        inside,
        patient=subject.patient,
        notes=tuple(str(finding) for finding in (*findings, *prepared.findings)),
    )
    shutil.rmtree(place, ignore_errors=True)
    save_case(case, place / "case", card)
    if regions:
        write_regions(regions, place / "regions.nii.gz")
    digest = hashlib.sha256(load_case(place / "case").fingerprint().encode())
    for mask in regions.values():
        digest.update(sitk.GetArrayFromImage(mask).tobytes())
    about = {
        "grid": _geometry(prepared.grid), "ratios": ratios, "notes": notes, "digest": digest.hexdigest(),
        "seconds": round(time.process_time() - begun, 2),
    }  # fmt: skip
    with written_whole(place / "about.json") as (temporary,):
        temporary.write_text(json.dumps(about), encoding="utf-8")


def _of_card(study: Study, card: ModelCard) -> Study:
    own = {spec.modality for spec in card.inputs} | {Modality.RCBV, card.reference[0]}
    return Study(study.subject, {m: image for m, image in study.images.items() if m in own})


def _geometry(image: sitk.Image) -> dict[str, Any]:
    return {
        "size": image.GetSize(), "spacing": image.GetSpacing(), "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
    }  # fmt: skip


def _grid_of(geometry: Mapping[str, Any]) -> sitk.Image:
    image = sitk.Image([int(n) for n in geometry["size"]], sitk.sitkUInt8)
    image.SetSpacing(geometry["spacing"])
    image.SetOrigin(geometry["origin"])
    image.SetDirection(geometry["direction"])
    return image
