"""Studies to training cases: digital patients and cohorts, in parallel, taken up again where it stopped."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.progress import Progress, silent
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.preprocess import coverage, normalised_rcbv, prepare
from SynthCBVLib.training.cases import Case, save_case, serves


def case_of_study(
    study: Study,
    card: ModelCard,
    transforms: Mapping[Modality, sitk.Transform] | None = None,
    brain: sitk.Image | None = None,
    motion: bool = True,
) -> Case:
    """Prepare a study with a real rCBV map for training.

    Parameters
    ----------
    study : Study
        With `Modality.RCBV`.
    card : ModelCard
        Whose preprocessing applies.
    transforms : Mapping, optional
        Known transforms (points of the reference to points of the image); the others are registered.
    brain : sitk.Image, optional
        Brain mask on the reference image's grid; found on the reference image by default.
    motion : bool
        As for `SynthCBVLib.synthesis.preprocess.prepare`.

    Raises
    ------
    InputError
        If there is no real rCBV map, or the study does not serve the card.
    """
    if Modality.RCBV not in study.images:
        raise InputError(f"subject {study.subject}", "no real rCBV map", "one, to learn from")
    prepared = prepare(study, card, transforms, brain, motion=motion)
    rcbv = study.scalar(Modality.RCBV)
    if transforms is not None and Modality.RCBV in transforms:
        transform = transforms[Modality.RCBV]
    else:
        transform = register(rcbv, prepared.reference).transform
    known = coverage(rcbv, prepared.grid, transform)
    target = normalised_rcbv(resample(rcbv, prepared.grid, transform), sitk.Mask(prepared.mask, known), card)
    return Case(
        study.subject,
        prepared.channels.astype(np.float16),
        prepared.present,
        sitk.GetArrayFromImage(target).astype(np.float16),
        sitk.GetArrayFromImage(prepared.mask),
        sitk.GetArrayFromImage(known),
        notes=tuple(str(finding) for finding in prepared.findings),
    )


def digital_cases(seed: int, idh: str, cards: Mapping[str, ModelCard]) -> dict[str, Case]:
    """Make the training cases of a digital patient, with its true transforms and brain mask.

    Parameters
    ----------
    seed, idh : int, str
        As for `DigitalPatient`.
    cards : Mapping
        The cards by name; the patient is simulated once for all of them.
    """
    patient = DigitalPatient(seed, idh=idh)
    wanted = {spec.modality for card in cards.values() for spec in card.inputs} | {Modality.RCBV}
    for card in cards.values():
        wanted.add(card.reference[0])
    study = patient.study(modality for modality in Modality if modality in wanted)
    cases = {}
    for name, card in cards.items():
        reference = card.reference[0]
        own = {spec.modality for spec in card.inputs} | {Modality.RCBV, reference}
        images = {modality: image for modality, image in study.images.items() if modality in own}
        transforms = {m: patient.transform(m, reference) for m in images if m != reference}
        brain = patient.truth(reference).brain
        case = case_of_study(Study(study.subject, images), card, transforms, brain, motion=False)
        # The same seed gives the same head whatever the disease: one patient for the split.
        cases[name] = Case(
            f"{seed:05d}-{idh}", case.channels, case.present, case.target, case.mask, case.known,
            patient=f"{seed:05d}", notes=case.notes,
        )  # fmt: skip
    return cases


def prepare_digital(
    patients: Iterable[tuple[int, str]],
    cards: Mapping[str, ModelCard],
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, list[Path]]:
    """Prepare the training cases of digital patients; those that are there already stay.

    Parameters
    ----------
    patients : iterable of (int, str)
        Seed and disease of each (see `DigitalPatient`).
    cards : Mapping
        The cards by name; a patient is simulated once for all of them.
    folder : Path
        Gets ``<card's name>/<seed>-<disease>/`` for each.
    workers : int
        Processes; 0 works in this one. They end with their parent.
    progress : Progress, optional
        Told of each patient; may raise `Cancelled`.

    Returns
    -------
    dict
        The folders of the cases of each card, in the patients' order, for `load_case`.

    Raises
    ------
    InputError
        If a case that is there was prepared for another card.
    """
    patients = list(dict.fromkeys((int(seed), str(idh)) for seed, idh in patients))
    folders = {name: [folder / name / f"{seed:05d}-{idh}" for seed, idh in patients] for name in cards}
    jobs = []
    for index, (seed, idh) in enumerate(patients):
        places = {name: folders[name][index] for name in cards}
        for name, place in places.items():
            _refuse_other(place, cards[name])
        missing = {name: place for name, place in places.items() if not place.is_dir()}
        if missing:
            own = {name: cards[name] for name in missing}
            jobs.append((f"{seed:05d}-{idh}", partial(_store_digital, seed, idh, own, missing)))
    run_jobs(jobs, workers, progress)
    return folders


def _refuse_other(place: Path, card: ModelCard) -> None:
    if (place / "case.json").is_file() and not serves(place, card):
        raise InputError(
            place, "a case prepared for another card", f"one for {card.name}", "Choose another folder."
        )


def _store_digital(
    seed: int, idh: str, cards: Mapping[str, ModelCard], places: Mapping[str, Path]
) -> tuple[str, ...]:
    for name, case in digital_cases(seed, idh, cards).items():
        save_case(case, places[name], cards[name])
    return ()


Job = tuple[str, Callable[[], tuple[str, ...]]]


def run_jobs(
    jobs: Sequence[Job], workers: int, progress: Progress | None = None, skip_bad: bool = False
) -> dict[str, str]:
    """Run jobs in processes that end with this one.

    Parameters
    ----------
    jobs : sequence of (str, callable)
        Name and work of each; the callables can be pickled.
    workers : int
        Processes; 0 works in this one.
    progress : Progress, optional
        Told of each job that is done; may raise `Cancelled`, which ends the processes.
    skip_bad : bool
        Go on with the others after an `InputError`.

    Returns
    -------
    dict
        What was wrong with the jobs that were skipped, by name.
    """
    progress = progress or silent
    skipped: dict[str, str] = {}

    def note(name: str, done: int, finish: Callable[[], object]) -> None:
        try:
            finish()
        except InputError as error:
            if not skip_bad:
                raise
            skipped[name] = str(error)
        progress(done / len(jobs), f"{name} ({done} of {len(jobs)})")

    if workers < 1:
        for done, (name, work) in enumerate(jobs, start=1):
            note(name, done, work)
        return skipped
    if not jobs:
        return skipped
    # Fresh interpreters: forking a process whose libraries already run threads can hang.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_begin)
    try:
        names = {pool.submit(work): name for name, work in jobs}
        for done, future in enumerate(as_completed(names), start=1):
            note(names[future], done, future.result)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    pool.shutdown()
    return skipped


def _begin() -> None:
    """Set up a working process: one thread, polite, and no longer alive than the one that started it."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=wait, name="parent watch", daemon=True).start()
