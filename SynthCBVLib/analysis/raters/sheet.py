"""The sheet on which raters score the quality of maps, and its CSV file."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from SynthCBVLib.analysis.arrays import csv_text, restored
from SynthCBVLib.analysis.checks import numbers, shown
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.image_files import written_whole

LONGEST_NAME = 200
_MISSING = ("", "n/a", "na", "nan")
_FIRST = "subject"


@dataclass(frozen=True)
class Scale:
    """Scores that may be given, with their meaning.

    Attributes
    ----------
    scores : tuple of int
        Ascending.
    meanings : tuple of str
        One a score.
    """

    scores: tuple[int, ...]
    meanings: tuple[str, ...]

    def check(self, values: np.ndarray, where: str) -> None:
        """Refuse values, other than NaN, that are not on the scale.

        Raises
        ------
        InputError
            If there is one.
        """
        wrong = values[~np.isnan(values) & ~np.isin(values, self.scores)]
        if wrong.size:
            raise InputError(where, f"the score {wrong.flat[0]:.6g}", f"one of {self._listed()} or none")

    def _listed(self) -> str:
        return ", ".join(f"{s} ({m})" for s, m in zip(self.scores, self.meanings, strict=True))


#: The ASL paper's scale of the quality of a synthetic map.
LIKERT = Scale((0, 1, 2, 3), ("very poor", "poor", "good", "very good"))


@dataclass(frozen=True, eq=False)
class ScoringSheet:
    """Scores of several raters.

    Attributes
    ----------
    subjects : tuple of str (n,)
        What was scored, each once, at most 200 characters.
    raters : tuple of str (k,)
        Who scored, each once.
    scores : np.ndarray (n, k)
        Scores on the scale; NaN where a rater gave none. Read-only.
    scale : Scale

    Raises
    ------
    InputError
        If a name is empty, too long or given twice, a score is not on the scale, or shapes do not fit.
    """

    subjects: Sequence[str]
    raters: Sequence[str]
    scores: npt.ArrayLike = field(repr=False)
    scale: Scale = LIKERT

    def __post_init__(self) -> None:
        for attribute, where in (("subjects", "subject"), ("raters", "rater")):
            object.__setattr__(self, attribute, _names(getattr(self, attribute), where))
        try:
            given = [list(row) for row in self.scores]
        except TypeError:
            raise InputError("scores", "no table", "one row a subject with one score a rater") from None
        shape = (len(self.subjects), len(self.raters))
        if [len(row) for row in given] != [shape[1]] * shape[0]:
            raise InputError(
                "scores", f"{len(given)} rows", f"{shape[0]} rows (subjects) of {shape[1]} scores (raters)"
            )
        scores = numbers(np.array(given, dtype=object).reshape(shape), "scores", ndim=2)
        self.scale.check(scores, "scores")
        scores.setflags(write=False)
        object.__setattr__(self, "scores", scores)

    @property
    def n_missing(self) -> int:
        """Number of scores not given."""
        return int(np.isnan(self.scores).sum())

    def complete(self) -> ScoringSheet:
        """Give the sheet of the subjects that every rater scored, as `raters.icc` and `raters.rwg` need it.

        Raises
        ------
        InputError
            If there is none.
        """
        keep = ~np.isnan(self.scores).any(axis=1)
        if not keep.any():
            raise InputError("scores", "no subject scored by every rater", "at least one")
        subjects = [name for name, kept in zip(self.subjects, keep, strict=True) if kept]
        return ScoringSheet(subjects, self.raters, self.scores[keep], self.scale)

    def rows(self) -> list[list[str]]:
        """Give header and rows as texts, scores as whole numbers and empty where missing."""
        rows = [[_FIRST, *self.raters]]
        for subject, scores in zip(self.subjects, self.scores, strict=True):
            rows.append([subject, *("" if np.isnan(s) else str(int(s)) for s in scores)])
        return rows


def write_scores(sheet: ScoringSheet, path: str | os.PathLike[str]) -> None:
    """Write a sheet as CSV: one row a subject, one column a rater, empty where no score was given.

    A name that a spreadsheet would take for a formula gets an apostrophe in front; `read_scores` takes it
    away again.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    content = csv_text(sheet.rows()).encode("utf-8")
    try:
        with written_whole(path) as [temporary]:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be written", "a place to write to") from error


def read_scores(path: str | os.PathLike[str], scale: Scale = LIKERT) -> ScoringSheet:
    """Read a sheet from CSV: a header of "subject" and the raters' names, one row a subject.

    Columns may be parted by commas or semicolons. An empty cell, "n/a" or "nan" is a missing score.

    Raises
    ------
    InputError
        If the file cannot be read, is no such table, or a score is not on the scale.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "a CSV file of scores") from error
    except UnicodeDecodeError:
        raise InputError(path, "not UTF-8 text", "a CSV file of scores in UTF-8") from None
    # The header's first name tells what parts the columns; names themselves may hold commas and semicolons.
    delimiter = ";" if re.match(rf'\s*"?{_FIRST}"?\s*;', text, re.IGNORECASE) else ","
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row
        ]
    except csv.Error as error:
        raise InputError(path, f"no readable table ({error})", "a CSV file of scores") from None
    if not rows or rows[0][0].strip().lower() != _FIRST or len(rows[0]) < 2:
        seen = shown(rows[0][0]) if rows else "nothing"
        raise InputError(path, f"a table that begins with {seen}", 'a header of "subject" and the raters')
    subjects, scores = [], []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}, row {number}", f"{len(row)} cells", f"{len(rows[0])} cells as in the header"
            )
        subjects.append(restored(row[0]))
        scores.append([_score(cell, f"{path}, row {number}", scale) for cell in row[1:]])
    return ScoringSheet(subjects, [restored(name) for name in rows[0][1:]], scores, scale)


def _names(names: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(names, str | bytes):
        raise InputError(where, shown(names), "a list of names")
    found: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise InputError(where, f"the name {shown(name)}", "a name that is not empty")
        if len(name) > LONGEST_NAME or "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
            raise InputError(
                where, f"the name {shown(name)} of {len(name)} characters",
                f"at most {LONGEST_NAME} characters of text",
            )  # fmt: skip
        if name in found:
            raise InputError(where, f"the name {shown(name)} twice", "each name once")
        found.add(name)
    if not found:
        raise InputError(where, "no name", "at least one")
    return tuple(names)


def _score(cell: str, where: str, scale: Scale) -> float:
    text = cell.strip()
    if text.lower() in _MISSING:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        raise InputError(where, f"the score {shown(cell)}", "a number or nothing") from None
    scale.check(np.array([value]), where)
    return value
