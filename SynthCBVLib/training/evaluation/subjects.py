"""Who is evaluated on: scans of a BIDS dataset or a manifest, or digital patients by blocks of seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.cohort import find_cases, participants
from SynthCBVLib.training.evaluation.sources import DigitalSource, FolderSource, ManifestSource, Source

#: Columns of participants.tsv that may hold the group, the first that is there counts.
GROUP_COLUMNS = ("idh", "group", "diagnosis")
_MISSING = {"", "n/a", "na", "unknown"}
#: What may stand behind the disease of a block of digital patients.
MARKS = ("known", "unmeasured")


@dataclass(frozen=True)
class Subject:
    """One exam of a cohort.

    Attributes
    ----------
    name : str
        Unique in the cohort, fit for a file's name.
    patient : str
        Whose exam it is.
    group : str or None
        Such as "wildtype" or "recurrence".
    source : Source
        Where it comes from.
    """

    name: str
    patient: str
    group: str | None
    source: Source


def digital_block(words: Sequence[str], option: str = "--digital") -> list[Subject]:
    """Give the digital patients of a block.

    Parameters
    ----------
    words : sequence of str
        Seeds as ``FIRST:END`` (END is not part of it) or a single one, the disease, and if wanted "known"
        (true transforms and brain mask) and "unmeasured" (no real rCBV map).
    option : str
        For messages.

    Raises
    ------
    InputError
        If the words are no block.
    """
    from SynthCBVLib.phantom.disease import PRIORS

    told = f"{option} {' '.join(words)}"
    needed = f"FIRST:END KIND, such as 60000:60020 wildtype, and if wanted {' or '.join(MARKS)}"
    seeds = re.fullmatch(r"(\d{1,9})(?::(\d{1,9}))?", words[0]) if words else None
    if seeds is None or len(words) < 2:
        raise InputError(told[:120], "no block of seeds with a disease", needed)
    first = int(seeds[1])
    end = int(seeds[2]) if seeds[2] else first + 1
    if words[1] not in PRIORS:
        raise InputError(told[:120], f"the disease {words[1]!r}", f"one of {', '.join(PRIORS)}")
    unknown = [word for word in words[2:] if word not in MARKS]
    if unknown:
        raise InputError(told[:120], repr(unknown[0]), needed)
    if not 0 < end - first <= 10_000:
        raise InputError(told[:120], f"{max(0, end - first)} patients", "1 to 10,000; END is not part of it")
    known, measured = "known" in words[2:], "unmeasured" not in words[2:]
    return [
        Subject(
            f"{seed:05d}-{words[1]}", f"{seed:05d}", words[1], DigitalSource(seed, words[1], known, measured)
        )
        for seed in range(first, end)
    ]


def cohort_subjects(path: Path) -> list[Subject]:
    """Find the scans of a BIDS dataset or of a manifest, with their groups and regions.

    Groups are the column idh, group or diagnosis of participants.tsv or of the manifest; regions are the
    manifest's, or label images ``*_desc-regions_dseg.nii.gz`` in the subject's folder or in that of a
    derivative, whose entity ``space`` names the image they are drawn on.

    Raises
    ------
    InputError
        If there is nothing of the kind, or several label images of regions for one scan.
    """
    if path.is_file():
        from SynthCBVLib.imaging.manifest import read_manifest

        return [
            Subject(row.subject, row.subject, row.idh or row.group, ManifestSource(path, row.subject))
            for row in read_manifest(path)
        ]
    if not path.is_dir():
        raise InputError(path, "no such file or folder", "a BIDS dataset or a manifest (.csv, .tsv)")
    groups = _groups(path / "participants.tsv")
    found = []
    for case in find_cases(path):
        label = case.name.split("_")[0]
        regions = _regions_file(path, case.folder)
        found.append(Subject(case.name, case.patient, groups.get(label), FolderSource(case.folder, regions)))
    return found


def _groups(table: Path) -> dict[str, str]:
    rows = participants(table)
    column = next((name for name in GROUP_COLUMNS if any(name in row for row in rows.values())), None)
    groups = {label: row.get(column, "") for label, row in rows.items()} if column else {}
    return {label: group for label, group in groups.items() if group.lower() not in _MISSING}


def _regions_file(dataset: Path, folder: Path) -> Path | None:
    own = folder.relative_to(dataset)
    places = [folder, *(place / own for place in sorted(dataset.glob("derivatives/*")))]
    found = [file for place in places for file in sorted(place.rglob("*_desc-regions_dseg.nii*"))]
    if len(found) > 1:
        shown = ", ".join(str(file.relative_to(dataset)) for file in found[:4])
        raise InputError(folder, f"several label images of regions ({shown})", "one for each scan")
    return found[0] if found else None


def unique(subjects: Iterable[Subject]) -> list[Subject]:
    """Give the subjects, refusing names that come twice.

    Raises
    ------
    InputError
        If a name comes twice.
    """
    found: dict[str, Subject] = {}
    for subject in subjects:
        if subject.name in found:
            raise InputError("cohort", f"{subject.name} twice", "each patient once")
        found[subject.name] = subject
    return list(found.values())


def in_words(subjects: Sequence[Subject]) -> str:
    """Tell who the subjects are: blocks of seeds for digital patients, numbers for others."""
    blocks: dict[tuple[str, str], list[int]] = {}
    others: dict[str, int] = {}
    for subject in subjects:
        source = subject.source
        if isinstance(source, DigitalSource):
            how = "true transforms and brain masks" if source.known else "registered"
            how += "" if source.measured else ", without real rCBV"
            blocks.setdefault((source.kind, how), []).append(source.seed)
        else:
            others[subject.group or "no group"] = others.get(subject.group or "no group", 0) + 1
    told = [f"{len(seeds)} {kind} (seeds {_ranges(seeds)}, {how})" for (kind, how), seeds in blocks.items()]
    return "; ".join([*told, *(f"{count} {group}" for group, count in others.items())])


def _ranges(seeds: Sequence[int]) -> str:
    """Give "1 to 3 and 7" for 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    told = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
