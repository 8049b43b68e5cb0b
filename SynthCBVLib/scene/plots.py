"""Charts of a cohort -> plot nodes, with the very numbers that the report's figures show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from SynthCBVLib.scene.application import current_scene

if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.analysis.cohort.plots import Chart, Series
    from SynthCBVLib.analysis.cohort.results import CohortAnalysis

#: Marks chart, series and table nodes made here, with the chart's key: a new analysis replaces them.
CHART_ATTRIBUTE = "SynthCBV.Chart"
_CLASSES = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode")


def add_cohort_charts(
    analysis: CohortAnalysis, scene: slicer.vtkMRMLScene | None = None
) -> list[slicer.vtkMRMLPlotChartNode]:
    """Put all charts of an analysis into the scene, in place of those of an earlier one.

    Show one with ``slicer.modules.plots.logic().ShowChartInLayout(chart)``.
    """
    from SynthCBVLib.analysis.cohort.plots import charts

    return add_charts(charts(analysis), scene)


def add_charts(
    charts: Sequence[Chart], scene: slicer.vtkMRMLScene | None = None
) -> list[slicer.vtkMRMLPlotChartNode]:
    """Put charts into the scene, in place of earlier ones."""
    scene = scene or current_scene()
    remove_cohort_charts(scene)
    return [add_chart(chart, scene) for chart in charts]


def remove_cohort_charts(scene: slicer.vtkMRMLScene | None = None) -> None:
    """Take all charts made here out of the scene, with their series and tables."""
    scene = scene or current_scene()
    for name in _CLASSES:
        nodes = scene.GetNodesByClass(name)
        found = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        for node in found:
            if node.GetAttribute(CHART_ATTRIBUTE) is not None:
                scene.RemoveNode(node)


def add_chart(chart: Chart, scene: slicer.vtkMRMLScene | None = None) -> slicer.vtkMRMLPlotChartNode:
    """Put one chart into the scene: a chart node, a series node a series, and tables with the numbers."""
    scene = scene or current_scene()
    tables = _tables(chart, scene)
    node = _new(scene, "vtkMRMLPlotChartNode", chart.title, chart.key)
    modified = node.StartModify()
    node.SetTitle(chart.title)
    places = "   ·   ".join(name for _, name in chart.ticks)  # plot nodes know no names of places
    node.SetXAxisTitle(places or chart.x_title)
    node.SetYAxisTitle(chart.y_title)
    for automatic, limits, ends in (
        (node.SetXAxisRangeAuto, node.SetXAxisRange, chart.x_range),
        (node.SetYAxisRangeAuto, node.SetYAxisRange, chart.y_range),
    ):
        automatic(False)
        limits(*ends)
    node.SetLegendVisibility(any(series.name for series in chart.series))
    for index, series in enumerate(chart.series):
        made = _series(series, index, chart, tables[series.x.size], scene)
        node.AddAndObservePlotSeriesNodeID(made.GetID())
    node.EndModify(modified)
    return node


def _tables(chart: Chart, scene: slicer.vtkMRMLScene) -> dict[int, slicer.vtkMRMLTableNode]:
    """Make a table for the series of each length: columns "<index> x", "<index> y", "<index> label"."""
    from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkStringArray

    by_length: dict[int, list[int]] = defaultdict(list)
    for index, series in enumerate(chart.series):
        by_length[series.x.size].append(index)
    tables = {}
    for length, indices in by_length.items():
        node = _new(scene, "vtkMRMLTableNode", f"{chart.title} ({length} points)", chart.key)
        node.SetHideFromEditors(True)
        modified = node.StartModify()
        for index in indices:
            series = chart.series[index]
            columns: list[tuple[str, Sequence[object], type]] = [
                (f"{index} x", series.x.tolist(), vtkDoubleArray),
                (f"{index} y", series.y.tolist(), vtkDoubleArray),
            ]
            if series.labels:
                columns.append(
                    (f"{index} label", [label.split("\0")[0] for label in series.labels], vtkStringArray)
                )
            for name, values, kind in columns:
                array = kind()
                array.SetName(name)
                for value in values:
                    array.InsertNextValue(value)
                node.AddColumn(array)
        node.SetLocked(True)
        node.EndModify(modified)
        tables[length] = node
    return tables


def _series(
    series: Series, index: int, chart: Chart, table: slicer.vtkMRMLTableNode, scene: slicer.vtkMRMLScene
) -> slicer.vtkMRMLPlotSeriesNode:
    node = _new(scene, "vtkMRMLPlotSeriesNode", series.name or " ", chart.key)
    node.SetHideFromEditors(True)
    modified = node.StartModify()
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetXColumnName(f"{index} x")
    node.SetYColumnName(f"{index} y")
    if series.labels:
        node.SetLabelColumnName(f"{index} label")
    node.SetPlotType(node.PlotTypeScatter)
    node.SetMarkerStyle(node.GetMarkerStyleFromString(series.mark))
    node.SetLineStyle(node.GetLineStyleFromString(series.line))
    node.SetMarkerSize(7)
    node.SetLineWidth(2)
    node.SetColor(*(int(series.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))
    node.EndModify(modified)
    return node


def _new(scene: slicer.vtkMRMLScene, kind: str, name: str, key: str) -> slicer.vtkMRMLNode:
    node = scene.AddNewNodeByClass(kind, name)
    node.SetAttribute(CHART_ATTRIBUTE, key)
    return node
