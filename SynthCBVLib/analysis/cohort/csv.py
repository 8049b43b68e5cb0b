"""The cohort table as a CSV file: written so that it comes back the same, read as spreadsheets write it."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

from SynthCBVLib.analysis.arrays import csv_text, restored
from SynthCBVLib.analysis.cohort.table import Cell, CohortTable, is_number_column, known_columns
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

#: What stands for a missing number, in any case, beside an empty cell.
MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "–", ".", "#n/a")
#: The largest file that is read; a cohort of 100,000 cases has 20 MB.
LARGEST_BYTES = 512 * 1024 * 1024
_LARGEST_CELL = 64 * 1024 * 1024
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)


def write_cohort(table: CohortTable, path: str | os.PathLike[str]) -> Path:
    """Write a table as CSV (UTF-8), whole or not at all; `read_cohort` gives it back the same.

    Texts that a spreadsheet would take for a formula have an apostrophe in front.

    Raises
    ------
    InputError
        If the file cannot be written, or a text is no Unicode that can be.
    """
    try:
        content = csv_text([table.columns, *table.rows]).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(path, "a text with half a character in it", "text that is valid Unicode") from None
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content)
    return Path(path)


def read_cohort(path: str | os.PathLike[str]) -> CohortTable:
    """Read a table from a CSV file.

    Commas, semicolons (then with decimal commas as well) or tabs between the cells; UTF-8, or UTF-16 with a
    mark; a header with "subject" (or "participant_id"). Columns that are not known are kept as text.

    Raises
    ------
    InputError
        If there is no such file, or it is no such table; with the line and column concerned.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise InputError(path, f"{size / 2**20:.0f} MB", f"at most {LARGEST_BYTES / 2**20:.0f} MB")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(path, "no such file", "a CSV file with one row a case") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "a CSV file") from error
    return parse_cohort(_decoded(content, path), path)


def parse_cohort(text: str, name: object = "cohort table") -> CohortTable:
    """Read a table from CSV text; parameters and errors as `read_cohort`, `name` for messages."""
    delimiter = _delimiter(text)
    lines = _lines(text, delimiter, name)
    if not lines:
        raise InputError(name, "an empty table", "a header and one row a case")
    header_line, header = lines[0]
    while (
        len(header) > 1
        and not header[-1].strip()
        and all(len(cells) < len(header) or not cells[len(header) - 1].strip() for _, cells in lines[1:])
    ):
        lines = [(line, cells[: len(header) - 1]) for line, cells in lines]
        header = header[:-1]
    columns = known_columns([restored(cell) for cell in header])
    if len(set(columns)) != len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise InputError(
            f"{name}, line {header_line}", f"the column {twice[:60]!r} twice", "a name of its own for each"
        )
    rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(columns):
            raise InputError(
                f"{name}, line {line}", f"{len(cells)} cells", f"{len(columns)}, as many as the header has",
                "Put texts with a comma or line break in them between quotation marks.",
            )  # fmt: skip
        rows.append(
            tuple(
                _value(cell, column, delimiter, name, line)
                for cell, column in zip(cells, columns, strict=True)
            )
        )
    try:
        return CohortTable(columns, tuple(rows))
    except InputError as error:
        where = error.where.replace("cohort table", str(name), 1)
        raise InputError(where, error.seen, error.needed, error.remedy) from None


def parse_number(text: str, decimal_comma: bool = False) -> float | None:
    """Read a number; None where it stands for a missing one.

    Raises
    ------
    ValueError
        If it is neither.
    """
    bare = restored(text).strip().replace("−", "-")
    if bare.lower() in MISSING:
        return None
    if decimal_comma and bare.count(",") == 1 and "." not in bare:
        bare = bare.replace(",", ".")
    if not _NUMBER.fullmatch(bare):
        raise ValueError(text)
    return float(bare)


def _decoded(content: bytes, path: Path) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            path, f"bytes that are no {encoding.upper().removesuffix('-SIG')} text (at {error.start})",
            "a CSV file in UTF-8", 'In a spreadsheet, save it as "CSV UTF-8".',
        ) from None  # fmt: skip


def _delimiter(text: str) -> str:
    """Find what separates the cells, from the header's first line outside quotation marks."""
    first = re.sub(r'"[^"]*"', "", text.lstrip("\r\n")[:100_000]).splitlines()
    head = first[0] if first else ""
    counts = {mark: head.count(mark) for mark in ",;\t"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def _lines(text: str, delimiter: str, name: object) -> list[tuple[int, list[str]]]:
    """Give the lines that hold anything, each with its number in the file."""
    limit = csv.field_size_limit(_LARGEST_CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(
            name, f"no CSV ({error})", "cells separated by commas, texts with commas in quotation marks"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _value(cell: str, column: str, delimiter: str, name: object, line: int) -> Cell:
    if not is_number_column(column):
        return restored(cell)
    try:
        return parse_number(cell, decimal_comma=delimiter == ";")
    except ValueError:
        shown = cell if len(cell) <= 60 else f"{cell[:60]}… ({len(cell)} characters)"
        raise InputError(
            f"{name}, line {line}, {column}", repr(shown), "a number, or nothing where it is missing"
        ) from None
