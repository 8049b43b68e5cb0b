"""The raters' scoring sheet <-> a table node, without loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from SynthCBVLib.analysis.cohort.scores import with_scores
from SynthCBVLib.analysis.raters import LIKERT, Scale, ScoringSheet
from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.tables import cohort_from_node, cohort_to_node, shown_text

if TYPE_CHECKING:
    import slicer

#: Node attribute with the names as JSON: Slicer's table files keep neither line breaks nor quotation marks.
SHEET_ATTRIBUTE = "SynthCBV.Scores"
_FIRST = "subject"


def sheet_to_node(
    sheet: ScoringSheet,
    node: slicer.vtkMRMLTableNode | None = None,
    *,
    name: str = "Scores",
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLTableNode:
    """Put a sheet into a table node to score on; `sheet_from_node` gives it back the same.

    Parameters
    ----------
    sheet : ScoringSheet
        Subjects, raters and scores; scores may all be missing.
    node : vtkMRMLTableNode, optional
        Filled anew; by default a node is made.
    name : str
        Of a node that is made.
    scene : vtkMRMLScene, optional
        The current one by default.

    Returns
    -------
    vtkMRMLTableNode
        One row a subject, one text column a rater, empty where there is no score. Names that are the same in
        Slicer's tables have a number behind.
    """
    from vtkmodules.vtkCommonCore import vtkStringArray

    raters, subjects = _distinct(sheet.raters, {_FIRST}), _distinct(sheet.subjects, set())
    columns = [(_FIRST, subjects)]
    for i, rater in enumerate(raters):
        columns.append((rater, ["" if math.isnan(s) else str(int(s)) for s in sheet.scores[:, i]]))
    if node is None:
        node = (scene or current_scene()).AddNewNodeByClass("vtkMRMLTableNode", name)
    modified = node.StartModify()
    node.RemoveAllColumns()
    for title, cells in columns:
        array = vtkStringArray()
        array.SetName(title)
        for cell in cells:
            array.InsertNextValue(cell)
        node.AddColumn(array)
    names = {
        "subjects": dict(zip(subjects, sheet.subjects, strict=True)),
        "raters": dict(zip(raters, sheet.raters, strict=True)),
    }
    node.SetAttribute(SHEET_ATTRIBUTE, json.dumps(names))
    node.SetUseColumnTitleAsColumnHeader(True)
    node.EndModify(modified)
    return node


def sheet_from_node(node: slicer.vtkMRMLTableNode, scale: Scale = LIKERT) -> ScoringSheet:
    """Read a sheet from a table node, whether made here, typed in or loaded from a file.

    Raises
    ------
    InputError
        If it is no such table, or a score is not on the scale.
    """
    if node is None or not node.IsA("vtkMRMLTableNode"):
        raise InputError("scores", "no table", "a table node with one row a subject and one column a rater")
    where, content = f"table {node.GetName()}", node.GetTable()
    n_columns = 0 if content is None else content.GetNumberOfColumns()
    titles = [content.GetColumnName(i) or "" for i in range(n_columns)]
    if n_columns < 2 or titles[0].strip().lower() != _FIRST:
        raise InputError(
            where, f"{n_columns} columns that begin with {titles[0][:40]!r}" if titles else "no columns",
            'the column "subject" and one a rater',
        )  # fmt: skip
    names = _kept(node.GetAttribute(SHEET_ATTRIBUTE))
    subjects, scores = [], []
    for row in range(content.GetNumberOfRows()):
        cells = [content.GetValue(row, i).ToString() for i in range(n_columns)]
        if any(cell.strip() for cell in cells):
            subjects.append(names["subjects"].get(cells[0], cells[0]))
            scores.append([_score(cell, f"{where}, row {row + 1}") for cell in cells[1:]])
    try:
        return ScoringSheet(
            subjects, [names["raters"].get(title, title) for title in titles[1:]], scores, scale
        )
    except InputError as error:
        raise InputError(f"{where}, {error.where}", error.seen, error.needed, error.remedy) from None


def put_scores(scores: slicer.vtkMRMLTableNode, cohort: slicer.vtkMRMLTableNode) -> None:
    """Put the scores of a sheet into the rows of its subjects in a cohort table.

    Raises
    ------
    InputError
        As `sheet_from_node`, `cohort_from_node` and `SynthCBVLib.analysis.cohort.scores.with_scores`; the
        cohort is unchanged then.
    """
    cohort_to_node(with_scores(cohort_from_node(cohort), sheet_from_node(scores)), cohort)


def _distinct(names: Sequence[str], taken: set[str]) -> list[str]:
    """Give names as tables show them, told apart by a number where two would be the same."""
    found = []
    for name in names:
        shown, number = shown_text(name), 1
        while (told := shown if number == 1 else f"{shown} ({number})") in taken:
            number += 1
        taken.add(told)
        found.append(told)
    return found


def _kept(text: str | None) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(text or "{}")
        return {
            key: {str(a): str(b) for a, b in found.get(key, {}).items()} for key in ("subjects", "raters")
        }
    except (ValueError, AttributeError):  # something else has written the attribute
        return {"subjects": {}, "raters": {}}


def _score(cell: str, where: str) -> float:
    text = cell.strip()
    if re.fullmatch(r"|n/a|na|nan", text, re.IGNORECASE):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise InputError(where, f"the score {text[:40]!r}", "a number or nothing") from None
