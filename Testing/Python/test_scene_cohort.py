"""Cohort tables and charts in the scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.analysis.cohort.analysis import analyze  # noqa: E402
from SynthCBVLib.analysis.cohort.case import case_row  # noqa: E402
from SynthCBVLib.analysis.cohort.plots import charts  # noqa: E402
from SynthCBVLib.analysis.cohort.statistics import statistic_rows  # noqa: E402
from SynthCBVLib.analysis.cohort.table import CohortTable, table_of  # noqa: E402
from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.scene import plots, tables  # noqa: E402


@pytest.fixture
def scene():
    return mrml.new_scene()


@pytest.fixture(scope="module")
def cohort() -> CohortTable:
    rng = np.random.default_rng(1)
    records = []
    for i in range(24):
        real = float(rng.gamma(8, 0.6 if i % 2 else 0.9))
        records.append(
            {
                "subject": f"P{i}",
                "group": "mutant" if i % 2 else "wildtype",
                "ratio_real": None if i == 3 else real,
                "ratio_synthetic": 0.8 * real + float(rng.normal(0, 0.3)),
                "ratio_f": float(rng.gamma(8, 0.2)),
                "hospital": "Südwest" if i % 3 else None,
            }
        )
    return table_of(records)


def test_table_goes_to_a_node_and_back(scene, cohort):
    node = tables.cohort_to_node(cohort, name="My cohort")
    assert node.GetName() == "My cohort"
    assert node.GetNumberOfRows() == 24
    assert node.GetTable().GetColumnByName("ratio_real").GetValue(3) == ""  # not nan
    assert tables.cohort_from_node(node) == cohort


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NUMBER = st.none() | st.floats(allow_nan=False)


@given(
    rows=st.lists(st.tuples(TEXT, NUMBER, TEXT), max_size=6),
    extra=TEXT.filter(lambda name: name.strip() and name.strip().lower() not in ("subject", "psnr")),
)
@settings(max_examples=60, deadline=None)
def test_any_table_goes_to_a_node_and_back(rows, extra):
    columns = ("subject", "psnr", f"note {extra}")
    table = CohortTable(
        columns, tuple((f"{i} {text}", number, more) for i, (text, number, more) in enumerate(rows))
    )
    assert tables.cohort_from_node(tables.cohort_to_node(table, scene=slicer.vtkMRMLScene())) == table


def test_table_survives_the_scene_bundle(scene, cohort, tmp_path):
    tables.cohort_to_node(cohort, name="Cohort")
    fresh = mrml.load_scene(mrml.save_scene(tmp_path / "s.mrb"), mrml.new_scene())
    assert tables.cohort_from_node(fresh.GetFirstNodeByName("Cohort")) == cohort


def test_hard_texts_survive_the_scene_bundle_and_edits_win(scene, tmp_path):
    records = [
        {
            "subject": "007",
            "group": "a,b",
            'my "note"': 'say "x"',
            "other": "line\nbreak",
            "ratio_real": 0.1 + 0.2,
        },
        {"subject": "=x", "group": "tab\there", 'my "note"': "é", "ratio_real": 1 / 3, "psnr": float("inf")},
    ]
    table = table_of(records)
    tables.cohort_to_node(table, name="Cohort")
    fresh = mrml.load_scene(mrml.save_scene(tmp_path / "s.mrb"), mrml.new_scene())
    node = fresh.GetFirstNodeByName("Cohort")
    assert tables.cohort_from_node(node) == table
    column = node.GetColumnIndex("ratio_real")
    node.SetCellText(0, column, "0.31")
    node.SetCellText(1, node.GetColumnIndex("group"), "")
    back = tables.cohort_from_node(node)
    assert back.column("ratio_real") == [0.31, 1 / 3]
    assert back.column("group") == ["a,b", None]
    node.RemoveRow(0)
    assert tables.cohort_from_node(node).column("subject") == ["=x"]


def test_cases_are_added_and_updated(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "Cohort")
    said = tables.add_case_to_node(node, case_row("A", model="ivim", group="x", uncertainty=0.2))
    assert said == "Subject 'A' (model 'ivim') was added as case 1."
    tables.add_case_to_node(node, case_row("B", model="ivim"))
    said = tables.add_case_to_node(
        node, case_row("A", model="ivim", uncertainty=0.3, extra={"note": "again"})
    )
    assert "in the table already, its row was updated: uncertainty, note." in said
    table = tables.cohort_from_node(node)
    assert table.column("uncertainty") == [0.3, None]
    assert table.column("group") == ["x", None]
    assert table.column("note") == ["again", None]


def test_a_table_typed_in_is_read(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "Typed")
    for name, values in (("Subject", ("A", "B", "")), ("real", ("2.5", "n/a", ""))):
        from vtkmodules.vtkCommonCore import vtkStringArray

        array = vtkStringArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value)
        node.AddColumn(array)
    table = tables.cohort_from_node(node)
    assert table.records() == [{"subject": "A", "ratio_real": 2.5}, {"subject": "B", "ratio_real": None}]
    node.SetCellText(1, 1, "much")
    with pytest.raises(InputError, match="table Typed, case 2, ratio_real: 'much'"):
        tables.cohort_from_node(node)


def test_what_is_no_cohort_is_refused_and_the_node_kept(scene, cohort):
    with pytest.raises(InputError, match="no table"):
        tables.cohort_from_node(None)
    node = mrml.add_ratio_table([{"map": "synthetic", "ratio": 2.0}], "Ratios")
    with pytest.raises(InputError, match=r'table Ratios: the columns .* a column "subject"'):
        tables.cohort_from_node(node)
    with pytest.raises(InputError, match="subject"):
        tables.add_case_to_node(node, case_row("A"))
    assert node.GetNumberOfColumns() == 2
    good = tables.cohort_to_node(cohort)
    with pytest.raises(InputError, match="NUL"):
        tables.add_case_to_node(good, case_row("A\0B"))
    assert tables.cohort_from_node(good) == cohort


def test_plot_nodes_hold_the_numbers_of_the_figures(scene, cohort):
    analysis = analyze(cohort)
    nodes = plots.add_cohort_charts(analysis)
    expected = charts(analysis)
    assert len(nodes) == len(expected) == 6
    for node, chart in zip(nodes, expected, strict=True):
        assert node.GetTitle() == chart.title
        assert node.GetYAxisTitle() == chart.y_title
        assert tuple(node.GetYAxisRange()) == pytest.approx(chart.y_range)
        assert node.GetNumberOfPlotSeriesNodes() == len(chart.series)
        for i, series in enumerate(chart.series):
            one = node.GetNthPlotSeriesNode(i)
            table = one.GetTableNode().GetTable()
            for name, values in ((one.GetXColumnName(), series.x), (one.GetYColumnName(), series.y)):
                column = table.GetColumnByName(name)
                assert [column.GetValue(k) for k in range(table.GetNumberOfRows())] == values.tolist()
            assert one.GetName().strip() == series.name
            assert one.GetMarkerStyleAsString(one.GetMarkerStyle()) == series.mark
            assert one.GetLineStyleAsString(one.GetLineStyle()) == series.line
            if series.labels:
                labels = table.GetColumnByName(one.GetLabelColumnName())
                assert labels.GetValue(0) == series.labels[0]


def test_a_new_analysis_replaces_the_charts(scene, cohort):
    plots.add_cohort_charts(analyze(cohort))
    kinds = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode")
    before = [scene.GetNumberOfNodesByClass(kind) for kind in kinds]
    own = mrml.add_ratio_table([{"map": "synthetic", "ratio": 2.0}], "Ratios")
    plots.add_cohort_charts(analyze(cohort))
    after = [scene.GetNumberOfNodesByClass(kind) for kind in kinds]
    assert after == [before[0], before[1], before[2] + 1]
    assert scene.GetNodeByID(own.GetID()) is own


def test_statistics_are_a_table_node(scene, cohort):
    analysis = analyze(cohort)
    rows = statistic_rows(analysis)
    table = tables.add_statistics_table(analysis).GetTable()
    assert table.GetNumberOfRows() == len(rows)
    values = table.GetColumnByName("value")
    np.testing.assert_array_equal([values.GetValue(i) for i in range(len(rows))], [row.value for row in rows])
