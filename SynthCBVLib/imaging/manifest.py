"""A table of subjects and their files (CSV, TSV), for those without BIDS folders."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.folders import subject_label
from SynthCBVLib.imaging.loose_files import open_files
from SynthCBVLib.imaging.names import Key, meanings
from SynthCBVLib.imaging.opened import OpenedStudy
from SynthCBVLib.imaging.study import Modality, Study

_LARGEST = 1 << 26
_NEEDED = "a table with the columns subject and one or more images (dwi, t2w, t1w, flair, t1c, adc, cbf, ...)"
_SUBJECT = {"subject", "sub", "subjectid", "patient", "patientid", "participant", "participantid", "id",
            "case"}  # fmt: skip
_B_VALUES = {"bvalues", "bvals", "bval", "bvalue", "b"}
_GROUP = {"group", "diagnosis", "cohort"}
_IDH = {"idh", "idhstatus"}
_TIMES = {"labelduration": "label_duration", "labelingduration": "label_duration",
          "postlabeldelay": "post_label_delay", "postlabelingdelay": "post_label_delay",
          "pld": "post_label_delay"}  # fmt: skip
_REGIONS = {"regions", "rois", "roi", "labels", "dseg", "regionsfile"}


@dataclass(frozen=True)
class ManifestRow:
    """One subject of a manifest; nothing is read before `study`.

    Attributes
    ----------
    subject : str
        Label without "sub-", letters and digits.
    files : Mapping
        File of each modality or ASL part ("control", "label", "m0").
    b_values : tuple of float or Path or None
        Of the DWI, s/mm², or the file that holds them; None leaves them to the image's header or .bval.
    regions : Path or None
        Label image.
    group, idh : str or None
        As the table has them.
    label_duration, post_label_delay : float or None
        Timing of the ASL, s.
    line : int
        Of the table, for messages.
    ignored : tuple of str
        Columns that mean nothing here.
    where : str
        The table's name, for messages.
    """

    subject: str
    files: Mapping[Key, Path]
    b_values: tuple[float, ...] | Path | None = None
    regions: Path | None = None
    group: str | None = None
    idh: str | None = None
    label_duration: float | None = None
    post_label_delay: float | None = None
    line: int = 0
    ignored: tuple[str, ...] = ()
    where: str = field(default="manifest", compare=False)

    def study(self) -> Study:
        """Read the images.

        Raises
        ------
        InputError
            If a file cannot be used.
        """
        return self.open().study

    def open(self) -> OpenedStudy:
        """Read the images and tell what was found."""
        opened = open_files(
            self.files, self.b_values, self.subject,
            label_duration=self.label_duration, post_label_delay=self.post_label_delay,
        )  # fmt: skip
        found = list(opened.found)
        if self.regions is not None:
            found.append(f"regions: {self.regions.name} (not part of the study)")
        if self.ignored:
            found.append(f"columns not used: {', '.join(self.ignored)}")
        return OpenedStudy(opened.study, f"manifest {Path(self.where).name}, row {self.line}", tuple(found))


def read_manifest(path: str | os.PathLike[str]) -> tuple[ManifestRow, ...]:
    """Read a manifest.

    Parameters
    ----------
    path : path-like
        One row a subject, under a heading: ``subject``, a column for each modality with paths relative to
        the manifest, and if wanted ``b_values`` (numbers, or a file), ``regions`` (a label image), ``group``,
        ``idh``, ``label_duration`` and ``post_label_delay`` (s). Commas, semicolons or tabs; UTF-8, UTF-16
        or Windows' own encoding; quotes as in CSV. Empty cells are images that a subject does not have.

    Returns
    -------
    tuple of ManifestRow
        In the table's order.

    Raises
    ------
    InputError
        If it is no such table, a subject or column comes twice, or a file is missing; with row and column.
    """
    path = Path(path)
    rows = _rows(path)
    columns = _columns(rows[0][1], path)
    ignored = tuple(name for name, key in zip(rows[0][1], columns, strict=True) if key is None and name)
    found: dict[str, ManifestRow] = {}
    for line, cells in rows[1:]:
        where = f"{path}, row {line}"
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            raise InputError(
                where, f"{len(cells)} cells under {len(columns)} headings", "one cell for each heading",
                "A path that holds the separator needs quotes around it.",
            )  # fmt: skip
        named = {key: cell for key, cell in zip(columns, cells, strict=False) if key is not None and cell}
        row = _row(named, dict(zip(columns, rows[0][1], strict=True)), path, line, ignored)
        if row.subject.lower() in found:
            raise InputError(
                f"{where}, column {_heading(columns, rows[0][1], 'subject')}",
                f"the subject {row.subject} again (first in row {found[row.subject.lower()].line})",
                "one row for each subject", "One study a subject: give sessions labels of their own.",
            )  # fmt: skip
        found[row.subject.lower()] = row
    return tuple(found.values())


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Read the table's rows that are not empty, with their line numbers; the first is the heading."""
    text = _text(path)
    heading = next((line for line in text.splitlines() if line.strip()), "")
    outside = re.sub(r'"[^"]*"', "", heading)
    separator = max("\t;,", key=outside.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    rows = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((reader.line_num, stripped))
    except csv.Error as error:
        raise InputError(path, f"not a table (line {reader.line_num}: {error})", _NEEDED) from None
    if len(rows) < 2:
        raise InputError(path, "a heading without rows" if rows else "an empty file", _NEEDED)
    return rows


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise InputError(path, "a folder" if path.is_dir() else "no such file", _NEEDED)
        if path.stat().st_size > _LARGEST:
            raise InputError(path, f"{path.stat().st_size} bytes", _NEEDED)
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"a file that cannot be read ({error.strerror})", _NEEDED) from None
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(path, "not a text file", _NEEDED)


def _columns(heading: list[str], path: Path) -> list[Key | None]:
    """Tell what each column is; None for those that mean nothing here."""
    columns: list[Key | None] = []
    for name in heading:
        key = _column(name, path)
        if key is not None and key in columns:
            first = heading[columns.index(key)]
            raise InputError(path, f"the columns {first!r} and {name!r}, both {key}", "one column for each")
        columns.append(key)
    if "subject" not in columns:
        raise InputError(path, f"the columns {', '.join(heading)[:120]!r} without subject", _NEEDED)
    if not any(isinstance(key, Modality) or key in ("control", "label", "m0") for key in columns):
        raise InputError(path, f"the columns {', '.join(heading)[:120]!r} without an image", _NEEDED)
    return columns


def _column(name: str, path: Path) -> Key | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for key, names in (("subject", _SUBJECT), ("b_values", _B_VALUES), ("group", _GROUP), ("idh", _IDH)):
        if plain in names:
            return key
    if plain in _TIMES:
        return _TIMES[plain]
    if plain in _REGIONS:
        return "regions"
    plain = re.sub(r"(path|file|image|filename)$", "", plain)
    try:
        return Modality(plain)
    except ValueError:
        pass
    found = meanings(name) - {"asl"}
    if len(found) > 1:
        raise InputError(
            path, f"the column {name[:60]!r}, which may mean {' or '.join(sorted(map(str, found)))}",
            "a heading that says one of them",
        )  # fmt: skip
    return next(iter(found), None)


def _heading(columns: list[Key | None], heading: list[str], key: Key) -> str:
    return heading[columns.index(key)]


def _row(
    cells: dict[Key, str], headings: dict[Key | None, str], path: Path, line: int, ignored: tuple[str, ...]
) -> ManifestRow:
    if "subject" not in cells:
        raise InputError(f"{path}, row {line}, column {headings['subject']}", "no subject", "a label")
    label = subject_label(cells["subject"])
    if not re.search(r"[A-Za-z0-9]", cells["subject"]):
        where = f"{path}, row {line}, column {headings['subject']}"
        raise InputError(where, f"the subject {cells['subject'][:40]!r}", "letters and digits")

    def where_of(key: Key) -> str:
        return f"{path}, row {line}, column {headings[key]}"

    files = {
        key: _file(cell, path, where_of(key))
        for key, cell in cells.items()
        if isinstance(key, Modality) or key in ("control", "label", "m0")
    }
    if not files:
        raise InputError(f"{path}, row {line}", "no image", "at least one file")
    by_file: dict[Path, Key] = {}
    for key, file in files.items():
        if file in by_file:
            raise InputError(where_of(key), f"{file.name}, which is {by_file[file]} too", "a file of its own")
        by_file[file] = key
    return ManifestRow(
        label, files, _b_values(cells.get("b_values"), path, where_of),
        _file(cells["regions"], path, where_of("regions")) if "regions" in cells else None,
        cells.get("group"), cells.get("idh"),
        *(_seconds(cells[key], where_of(key)) if key in cells else None
          for key in ("label_duration", "post_label_delay")),
        line=line, ignored=ignored, where=str(path),
    )  # fmt: skip


def _file(cell: str, manifest: Path, where: str) -> Path:
    """Find a cell's file beside the manifest; Windows' backslashes are taken as slashes elsewhere."""
    for text in dict.fromkeys((cell, cell.replace("\\", "/"))):
        full = os.path.join(manifest.parent, os.path.expanduser(text))  # noqa: PTH111, PTH118 - any text
        if os.path.isfile(full):  # noqa: PTH113 - takes names that pathlib refuses
            return Path(full)
    raise InputError(where, f"no such file: {cell[:160]!r}", f"a file, relative to {manifest.parent}")


def _b_values(
    cell: str | None, manifest: Path, where_of: Callable[[Key], str]
) -> tuple[float, ...] | Path | None:
    if cell is None:
        return None
    words = re.split(r"[\s,;|]+", cell.strip("[]() "))
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        return _file(cell, manifest, where_of("b_values"))
    if not all(0 <= value < 1e6 for value in values):
        raise InputError(where_of("b_values"), f"the b-values {cell[:60]!r}", "finite numbers >= 0 in s/mm²")
    return values


def _seconds(cell: str, where: str) -> float:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        raise InputError(where, f"{cell[:40]!r}", "a number of seconds") from None
