"""A BIDS cohort with real rCBV maps: its cases, whose they are, and how they are prepared."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import Progress
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.cases import Case, save_case, serves
from SynthCBVLib.training.preparation import case_of_study, run_jobs


@dataclass(frozen=True)
class CohortCase:
    """One scan of a cohort.

    Attributes
    ----------
    name : str
        "sub-01" or "sub-01_ses-2".
    patient : str
        Whose scan it is.
    folder : Path
        Of the subject or session.
    """

    name: str
    patient: str
    folder: Path


def find_cases(dataset: Path) -> list[CohortCase]:
    """Find the scans of a BIDS dataset: each session of each subject, or each subject without sessions.

    A patient is a subject, or what the column ``patient_id`` of ``participants.tsv`` names, where there is
    one: subjects who are one person under two labels belong there.

    Raises
    ------
    InputError
        If there is no subject, or the table cannot be read.
    """
    subjects = sorted(path for path in dataset.glob("sub-*") if path.is_dir())
    if not subjects:
        raise InputError(dataset, "no sub-* folders", "a BIDS dataset")
    patients = _patients(dataset / "participants.tsv")
    found = []
    for subject in subjects:
        patient = patients.get(subject.name) or subject.name
        sessions = sorted(path for path in subject.glob("ses-*") if path.is_dir())
        for folder in sessions or [subject]:
            name = subject.name if folder == subject else f"{subject.name}_{folder.name}"
            found.append(CohortCase(name, patient, folder))
    return found


def participants(table: Path) -> dict[str, dict[str, str]]:
    """Read the participants of a BIDS dataset.

    Parameters
    ----------
    table : Path
        ``participants.tsv``; it need not be there.

    Returns
    -------
    dict
        Row (column to stripped text) of each participant, by ``sub-<label>``; later rows go before.

    Raises
    ------
    InputError
        If it cannot be read, or names no participants.
    """
    if not table.is_file():
        return {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(table, f"unreadable ({error})", "a table of tab-separated values") from error
    if rows and "participant_id" not in rows[0]:
        raise InputError(table, "no column participant_id", "the table of a BIDS dataset")
    found = {}
    for row in rows:
        texts = {name: (text or "").strip() for name, text in row.items() if isinstance(name, str)}
        if label := texts["participant_id"]:
            found[label if label.startswith("sub-") else f"sub-{label}"] = texts
    return found


def _patients(table: Path) -> dict[str, str]:
    patients = {label: row.get("patient_id", "") for label, row in participants(table).items()}
    return {label: patient for label, patient in patients.items() if patient and patient.lower() != "n/a"}


@dataclass(frozen=True)
class Preparedness:
    """What became of a cohort's scans.

    Attributes
    ----------
    folders : tuple of Path
        Of the cases that are ready.
    refused : dict
        What was wrong with the others, by name.
    """

    folders: tuple[Path, ...]
    refused: dict[str, str]


def prepare_cohort(
    cases: Sequence[CohortCase],
    card: ModelCard,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
    skip_bad: bool = False,
) -> Preparedness:
    """Prepare the scans of a cohort for training; those that are there already stay.

    Parameters
    ----------
    cases : sequence of CohortCase
        From `find_cases`.
    card : ModelCard
        Whose preprocessing applies.
    folder : Path
        Gets a folder for each case.
    workers : int
        Processes; 0 works in this one.
    progress : Progress, optional
        Told of each case.
    skip_bad : bool
        Leave out scans that cannot be used instead of stopping at the first.

    Raises
    ------
    InputError
        If a scan cannot be used and is not to be skipped, or a case there was prepared for another card.
    """
    places = {case.name: folder / case.name for case in cases}
    jobs = []
    for case in cases:
        place = places[case.name]
        if not (place / "case.json").is_file():
            jobs.append((case.name, partial(_prepare_one, case, card, place)))
        elif not serves(place, card):
            raise InputError(
                place, "a case prepared for another card", f"one for {card.name}",
                "Choose another folder for the run.",
            )  # fmt: skip
    refused = run_jobs(jobs, workers, progress, skip_bad)
    return Preparedness(tuple(place for name, place in places.items() if name not in refused), refused)


def _prepare_one(case: CohortCase, card: ModelCard, place: Path) -> None:
    save_case(cohort_case(case, card), place, card)


def cohort_case(case: CohortCase, card: ModelCard) -> Case:
    """Read, check and prepare one scan; what the checks found stands in the case's notes.

    Raises
    ------
    InputError
        If the scan cannot be used.
    """
    from SynthCBVLib.imaging.files import read_study
    from SynthCBVLib.imaging.quality import check, raise_on_error

    study = read_study(case.folder)
    findings = check(study, card)
    raise_on_error(findings, study)
    made = case_of_study(study, card)
    notes = tuple(str(finding) for finding in findings if finding.severity != "info")
    return dataclasses.replace(
        made, name=case.name, patient=case.patient, notes=tuple(dict.fromkeys((*notes, *made.notes)))
    )
