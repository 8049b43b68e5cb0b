"""The cohort table <-> a table node, without loss; and the statistics of a cohort as a table node."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from SynthCBVLib.analysis.cohort.csv import parse_number
from SynthCBVLib.analysis.cohort.table import Cell, CohortTable, add_case, is_number_column, known_columns
from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.results import add_ratio_table
from SynthCBVLib.worker.cohort import statistic_records

if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.analysis.cohort.results import CohortAnalysis

#: Node attribute with the cohort as JSON. Slicer writes tables to files with six digits and without quotation
#: marks; cells that still look as they were put in get their full value back from here.
COHORT_ATTRIBUTE = "SynthCBV.Cohort"
#: What the headers say instead of the columns' names, which files keep.
TITLES: Mapping[str, str] = {
    "subject": "Subject",
    "model": "Model",
    "group": "Group",
    "ratio_real": "T/WM real",
    "ratio_synthetic": "T/WM synthetic",
    "ratio_f": "T/WM f",
    "ssim": "SSIM",
    "psnr": "PSNR (dB)",
    "uncertainty": "Uncertainty in brain",
    "ratio_uncertainty": "SD of T/WM synthetic",
    "weights": "Weights (SHA-256)",
    "software": "Software",
}


def cohort_to_node(
    table: CohortTable,
    node: slicer.vtkMRMLTableNode | None = None,
    *,
    name: str = "Cohort",
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLTableNode:
    """Put a cohort table into a table node; `cohort_from_node` gives it back the same.

    Parameters
    ----------
    table : CohortTable
        The cases.
    node : vtkMRMLTableNode, optional
        Filled anew; by default a node is made.
    name : str
        Of a node that is made.
    scene : vtkMRMLScene, optional
        The current one by default.

    Returns
    -------
    vtkMRMLTableNode
        Numbers in double columns; those with a missing one in string columns, for a missing number would read
        "nan" in Slicer's tables, and is an empty cell so. Texts in string columns, empty where missing, with
        spaces for line breaks and tabs and ″ for quotation marks, which Slicer's files do not keep.
    """
    from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkStringArray

    arrays = []
    for column in table.columns:
        cells = table.column(column)
        numeric = is_number_column(column)
        whole = numeric and all(cell is not None for cell in cells)
        array = vtkDoubleArray() if whole else vtkStringArray()
        array.SetName(shown_text(column))
        for cell in cells:
            _check_text(cell, column)
            array.InsertNextValue(cell if whole else _shown_number(cell) if numeric else shown_text(cell))
        arrays.append(array)
    made = node is None
    if made:
        node = (scene or current_scene()).AddNewNodeByClass("vtkMRMLTableNode", name)
    modified = node.StartModify()
    node.RemoveAllColumns()
    for array in arrays:
        node.AddColumn(array)
    for column in table.columns:
        node.SetColumnTitle(shown_text(column), TITLES.get(column, shown_text(column)))
    node.SetAttribute(COHORT_ATTRIBUTE, json.dumps({"columns": table.columns, "rows": table.rows}))
    node.SetUseColumnTitleAsColumnHeader(True)
    node.EndModify(modified)
    return node


def cohort_from_node(node: slicer.vtkMRMLTableNode) -> CohortTable:
    """Read a cohort table from a table node, whether made here, typed in or loaded from a file.

    Raises
    ------
    InputError
        If it is no cohort table (see `CohortTable`), or a number column holds a text that is no number.
    """
    if node is None or not node.IsA("vtkMRMLTableNode"):
        raise InputError("cohort table", "no table", "a table node with one row a case")
    content = node.GetTable()
    n_columns = 0 if content is None else content.GetNumberOfColumns()
    names = [content.GetColumnName(i) or "" for i in range(n_columns)]
    columns = known_columns(names)
    rows = [
        tuple(_cell(content, row, i, column, node.GetName()) for i, column in enumerate(columns))
        for row in range(content.GetNumberOfRows() if n_columns else 0)
    ]
    try:
        filled = (row for row in rows if any(cell not in (None, "") and cell == cell for cell in row))
        return _in_full(CohortTable(columns, tuple(filled)), node.GetAttribute(COHORT_ATTRIBUTE))
    except InputError as error:
        where = error.where.replace("cohort table", f"table {node.GetName()}", 1)
        raise InputError(where, error.seen, error.needed, error.remedy) from None


def add_case_to_node(node: slicer.vtkMRMLTableNode, case: Mapping[str, Cell]) -> str:
    """Add a case to the cohort in a table node, or update its row if subject and model are there.

    Parameters
    ----------
    node : vtkMRMLTableNode
        A cohort, or an empty table.
    case : mapping of str to Cell
        Column -> value, as `SynthCBVLib.analysis.cohort.case.case_row` makes it.

    Returns
    -------
    str
        What was done, for the user: added, or updated and in which columns.

    Raises
    ------
    InputError
        As `cohort_from_node` and `SynthCBVLib.analysis.cohort.table.add_case`; the node is unchanged then.
    """
    empty = node.GetTable() is None or not node.GetNumberOfColumns()
    added = add_case(CohortTable() if empty else cohort_from_node(node), case)
    cohort_to_node(added.table, node)
    return added.message


def add_statistics_table(
    analysis: CohortAnalysis, name: str = "Agreement", scene: slicer.vtkMRMLScene | None = None
) -> slicer.vtkMRMLTableNode:
    """Put all numbers of an analysis into the scene as a table node, NaN where there is none.

    Raises
    ------
    InputError
        If the analysis has no number.
    """
    return add_ratio_table(statistic_records(analysis), name, scene)


def _in_full(table: CohortTable, kept: str | None) -> CohortTable:
    """Give the cells that look as those kept in the node's attribute the values kept; edited ones stay."""
    try:
        found = json.loads(kept or "null")
        before = CohortTable(tuple(found["columns"]), tuple(map(tuple, found["rows"])))
    except (ValueError, TypeError, KeyError):  # no attribute, or one that something else has written
        return table
    names = {shown_text(name): name for name in before.columns}
    columns = tuple(names.get(name, name) for name in table.columns)
    own = {_key(record): record for record in before.records()}
    rows = []
    for row in table.rows:
        record = own.get(_key(dict(zip(columns, row, strict=True))), {})
        rows.append(tuple(_same(cell, record.get(name)) for name, cell in zip(columns, row, strict=True)))
    return CohortTable(columns, tuple(rows))


def _key(record: Mapping[str, Cell]) -> tuple[str, str]:
    return shown_text(record.get("subject")), shown_text(record.get("model"))


def _same(cell: Cell, kept: Cell) -> Cell:
    """Give the value kept if the cell is what Slicer makes of it, else the cell."""
    if isinstance(cell, float) and isinstance(kept, float):
        return kept if math.isclose(cell, kept, rel_tol=1e-5, abs_tol=1e-300) else cell
    return kept if isinstance(kept, str) and shown_text(cell) == shown_text(kept) else cell


def shown_text(cell: Cell) -> str:
    """Give a text as table nodes hold it: one line, without quotation marks."""
    return (
        ""
        if cell is None
        else re.sub(r"[\r\n\t\v\f\x1c-\x1f\x85\u2028\u2029]", " ", str(cell)).replace('"', "″")
    )


def _shown_number(cell: Cell) -> str:
    """Give a number as Slicer's tables show it; `COHORT_ATTRIBUTE` keeps it in full."""
    return "" if cell is None else f"{cell:.6g}"


def _check_text(cell: Cell, column: str) -> None:
    """Refuse what a node cannot hold: the end-of-text character, and halves of characters."""
    if isinstance(cell, str):
        try:
            cell.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"cohort table, {column}", "half a character", "valid Unicode text") from None
        if "\0" in cell:
            raise InputError(f"cohort table, {column}", "a text with a NUL character", "text without it")


def _cell(content: object, row: int, index: int, column: str, name: str) -> Cell:
    from vtkmodules.vtkCommonCore import vtkStringArray

    array = content.GetColumn(index)
    numeric = is_number_column(column)
    if isinstance(array, vtkStringArray):
        text = array.GetValue(row)
        if not numeric:
            return text
        try:
            return parse_number(text)
        except ValueError:
            where = f"table {name}, case {row + 1}, {column}"
            raise InputError(where, repr(text[:60]), "a number, or nothing where it is missing") from None
    variant = content.GetValue(row, index)
    value = variant.ToDouble()
    if numeric:
        return value
    return None if math.isnan(value) else variant.ToString()
