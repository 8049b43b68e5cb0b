"""The cohort table: one row a case, the same in memory, in a CSV file and in a table node."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from SynthCBVLib.errors import InputError

#: What a cell holds: a text, a number, or None where the value is missing.
Cell = str | float | None

#: Columns of text: who, by which model, in which group; and where the maps come from.
TEXT_COLUMNS = ("subject", "model", "group", "weights", "software")
#: Columns of numbers: T/WM ratios and the synthetic one's uncertainty, likeness to the real map, mean
#: uncertainty of the synthetic map. Columns whose name starts with "score" hold numbers as well.
NUMBER_COLUMNS = (
    "ratio_real",
    "ratio_synthetic",
    "ratio_f",
    "ratio_uncertainty",
    "ssim",
    "psnr",
    "uncertainty",
)
#: Columns of a new table, in order.
COLUMNS = (*TEXT_COLUMNS[:3], *NUMBER_COLUMNS, *TEXT_COLUMNS[3:])
#: Other names of the known columns, as exports of other programs have them.
ALIASES = {
    "participant_id": "subject",
    "participant": "subject",
    "case": "subject",
    "id": "subject",
    "real": "ratio_real",
    "synthetic": "ratio_synthetic",
    "f": "ratio_f",
    "t_wm_real": "ratio_real",
    "t_wm_synthetic": "ratio_synthetic",
    "t_wm_f": "ratio_f",
    "real_ratio": "ratio_real",
    "synthetic_ratio": "ratio_synthetic",
    "f_ratio": "ratio_f",
}
#: A row's identity: one row a subject and model.
KEY = ("subject", "model")

_SHOWN = 60  # characters of a value repeated in a message


def is_number_column(column: str) -> bool:
    """Tell whether a column holds numbers; all other columns hold text, kept as it is."""
    return column in NUMBER_COLUMNS or column.lower().startswith("score")


def known_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Give the known columns the names used here, whatever their case and spaces; others stay exactly."""
    bare = [name.strip() for name in names]
    found = []
    for exact, name in zip(names, bare, strict=True):
        plain = re.sub(r"[\s\-/]+", "_", name.lower())
        known = plain if plain in COLUMNS else ALIASES.get(plain)
        found.append(exact if known is None or (name != known and known in bare) else known)
    return tuple(found)


@dataclass(frozen=True)
class CohortTable:
    """Cases in rows.

    Parameters
    ----------
    columns : tuple of str
        Names, "subject" among them, each once; any others beside the known ones are kept.
    rows : tuple of tuple of Cell
        Cells in the order of the columns. Missing values are None: so are empty texts and NaN.

    Raises
    ------
    InputError
        If columns are missing, empty or repeated, a row has another length, a subject is missing, a number
        column holds a text, or a subject and model are there twice.
    """

    columns: tuple[str, ...] = COLUMNS
    rows: tuple[tuple[Cell, ...], ...] = ()

    def __post_init__(self) -> None:
        columns = known_columns([str(column) for column in self.columns])
        if "subject" not in columns:
            raise InputError(
                "cohort table", f"the columns {_listed(columns)}", 'a column "subject"',
                "Name the column that tells the cases apart subject.",
            )  # fmt: skip
        if len(set(columns)) != len(columns) or not all(column.strip() for column in columns):
            raise InputError("cohort table", f"the columns {_listed(columns)}", "a name of its own for each")
        object.__setattr__(self, "columns", columns)
        numeric = [is_number_column(column) for column in columns]
        rows = []
        for i, row in enumerate(self.rows, start=1):
            if len(row) != len(columns):
                raise InputError(f"cohort table, case {i}", f"{len(row)} values", f"{len(columns)}")
            rows.append(
                tuple(
                    _cell(value, number, column, i)
                    for value, number, column in zip(row, numeric, columns, strict=True)
                )
            )
        object.__setattr__(self, "rows", tuple(rows))
        self._check_keys()

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Cell]:
        """Give the cells of a column, None in all rows if the table does not have it."""
        if name not in self.columns:
            return [None] * len(self.rows)
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def numbers(self, name: str) -> np.ndarray:
        """Give a column of numbers as an array (n,), NaN where missing."""
        return np.array([math.nan if cell is None else cell for cell in self.column(name)], dtype=float)

    def records(self) -> list[dict[str, Cell]]:
        """Give the rows as dictionaries from column to cell."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def missing(self) -> dict[str, int]:
        """Count the missing values of each column."""
        return {name: sum(cell is None for cell in self.column(name)) for name in self.columns}

    def _check_keys(self) -> None:
        seen: dict[tuple[Cell, ...], int] = {}
        for i, key in enumerate(self._keys(), start=1):
            if key[0] is None or not str(key[0]).strip():
                raise InputError(f"cohort table, case {i}", "no subject", "a label for each case")
            if key in seen:
                model = f" with model {key[1]!r}" if key[1] is not None else ""
                raise InputError(
                    f"cohort table, cases {seen[key]} and {i}",
                    f"subject {_short(key[0])} twice{model}",
                    "one row for each subject and model",
                    "Remove one of them, or tell them apart in the column model.",
                )
            seen[key] = i

    def _keys(self) -> list[tuple[Cell, ...]]:
        return list(zip(*(self.column(name) for name in KEY), strict=True))


@dataclass(frozen=True)
class Addition:
    """A table after a case was added to it.

    Attributes
    ----------
    table : CohortTable
        The new table.
    updated : bool
        True if the case was there already and its row was updated.
    message : str
        What was done, in words, for the user.
    """

    table: CohortTable
    updated: bool
    message: str


def table_of(records: Iterable[Mapping[str, Cell]]) -> CohortTable:
    """Make a table of dictionaries from column to value; known columns first, others in order met."""
    records = [dict(zip(known_columns(list(record)), record.values(), strict=True)) for record in records]
    extra = dict.fromkeys(name for record in records for name in record if name not in COLUMNS)
    columns = (*COLUMNS, *extra)
    return CohortTable(columns, tuple(tuple(record.get(name) for name in columns) for record in records))


def add_case(table: CohortTable, case: Mapping[str, Cell]) -> Addition:
    """Add a case, or update it if the table has its subject and model already.

    Parameters
    ----------
    table : CohortTable
        Left as it is.
    case : mapping of str to Cell
        Column -> value, as `case_row` makes it. Columns the table lacks are appended. In an update, values
        that are missing in `case` leave the table's as they are.

    Raises
    ------
    InputError
        If the case has no subject, or a number column holds a text.
    """
    new = table_of([case])
    values = {name: cell for name, cell in new.records()[0].items() if cell is not None or name in case}
    columns = (*table.columns, *(name for name in values if name not in table.columns))
    widened = [(*row, *(None,) * (len(columns) - len(table.columns))) for row in table.rows]
    key = (values["subject"], values.get("model"))
    label = f"Subject {_short(key[0])}" + ("" if key[1] is None else f" (model {_short(key[1])})")
    keys = table._keys()
    if key not in keys:
        widened.append(tuple(values.get(name) for name in columns))
        return Addition(
            CohortTable(columns, tuple(widened)), False, f"{label} was added as case {len(widened)}."
        )
    index = keys.index(key)
    before = dict(zip(columns, widened[index], strict=True))
    after = before | {name: cell for name, cell in values.items() if cell is not None}
    widened[index] = tuple(after[name] for name in columns)
    changed = [name for name in columns if before[name] != after[name]]
    told = (
        f"its row was updated: {', '.join(changed)}" if changed else "with the same values; nothing changed"
    )
    return Addition(CohortTable(columns, tuple(widened)), True, f"{label} was in the table already, {told}.")


def _cell(value: object, number: bool, column: str, row: int) -> Cell:
    if value is None:
        return None
    if not number:
        return str(value) or None
    if isinstance(value, str) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"cohort table, case {row}, {column}", _short(value), "a number, or nothing")
    return None if math.isnan(value) else float(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(str(value))} characters)"


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(_short(column) for column in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "") or "none"
