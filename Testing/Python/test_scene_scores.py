"""The scoring sheet as a table node."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.analysis.cohort.table import table_of  # noqa: E402
from SynthCBVLib.analysis.raters import ScoringSheet, icc  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.scene import tables  # noqa: E402
from SynthCBVLib.scene.scores import put_scores, sheet_from_node, sheet_to_node  # noqa: E402


@pytest.fixture(scope="module")
def scene():
    return mrml.new_scene()


def same(one: ScoringSheet, other: ScoringSheet) -> bool:
    return (one.subjects, one.raters) == (other.subjects, other.raters) and np.array_equal(
        one.scores, other.scores, equal_nan=True
    )


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('"″\n\t ='),
    min_size=1, max_size=8,
).filter(str.strip)  # fmt: skip


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_sheet_goes_to_a_node_and_back(scene, data):
    subjects = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    raters = data.draw(st.lists(NAMES | st.just("subject"), min_size=1, max_size=3, unique=True))
    row = st.lists(st.sampled_from([0, 1, 2, 3, None]), min_size=len(raters), max_size=len(raters))
    scores = data.draw(st.lists(row, min_size=len(subjects), max_size=len(subjects)))
    sheet = ScoringSheet(subjects, raters, scores)
    node = sheet_to_node(sheet)
    assert node.GetNumberOfColumns() == 1 + len(raters)
    assert same(sheet_from_node(node), sheet)
    scene.RemoveNode(node)


def test_a_sheet_survives_the_file_of_a_scene(tmp_path):
    mrml.new_scene()
    sheet = ScoringSheet(['A "x"\ny', "A ″x″ y", "01"], ["BW", "C\tW"], [[3, None], [2, 0], [1, 1]])
    sheet_to_node(sheet, name="Mine")
    path = mrml.save_scene(tmp_path / "s.mrb")
    loaded = mrml.new_scene()
    mrml.load_scene(path)
    assert same(sheet_from_node(loaded.GetFirstNodeByName("Mine")), sheet)


def test_scores_typed_into_the_table_are_read(scene):
    node = sheet_to_node(ScoringSheet(["a", "b"], ["x", "y"], [[None, None]] * 2))
    for row, column, text in ((0, 1, "3"), (0, 2, "2"), (1, 1, " 1 "), (1, 2, "n/a")):
        node.SetCellText(row, column, text)
    found = sheet_from_node(node)
    assert found.scores.tolist()[0] == [3, 2]
    assert found.n_missing == 1
    with pytest.raises(InputError, match="at least 2 values"):
        icc(found.complete().scores)
    node.SetCellText(1, 2, "7")
    with pytest.raises(InputError, match="table Scores, scores: the score 7"):
        sheet_from_node(node)
    node.SetCellText(1, 2, "good")
    with pytest.raises(InputError, match="table Scores, row 2: the score 'good'"):
        sheet_from_node(node)


def test_scores_go_into_the_cohort(scene):
    cohort = tables.cohort_to_node(table_of([{"subject": "a", "ratio_real": 2.5}, {"subject": "b"}]))
    put_scores(sheet_to_node(ScoringSheet(["b"], ["BW"], [[2]])), cohort)
    assert tables.cohort_from_node(cohort).column("score_BW") == [None, 2.0]
    before = tables.cohort_from_node(cohort)
    with pytest.raises(InputError, match="no case of the table"):
        put_scores(sheet_to_node(ScoringSheet(["c"], ["BW"], [[2]])), cohort)
    assert tables.cohort_from_node(cohort) == before


def test_other_tables_are_refused(scene):
    with pytest.raises(InputError, match="no table"):
        sheet_from_node(None)
    with pytest.raises(InputError, match="columns that begin with 'map'"):
        sheet_from_node(mrml.add_ratio_table([{"map": "a", "ratio": 1.0}], "R"))
