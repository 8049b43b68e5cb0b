"""A cohort on its way to the worker, and its statistics and charts on their way back, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from SynthCBVLib.analysis.cohort.plots import Chart
    from SynthCBVLib.analysis.cohort.results import CohortAnalysis
    from SynthCBVLib.analysis.cohort.table import CohortTable

#: One statistic, as the columns of a table node.
Record = Mapping[str, str | int | float]


def table_record(table: CohortTable) -> dict[str, Any]:
    """Give a cohort table ready for JSON."""
    return {"columns": list(table.columns), "rows": [list(row) for row in table.rows]}


def table_of(record: Mapping[str, Any]) -> CohortTable:
    """Give the table back."""
    from SynthCBVLib.analysis.cohort.table import CohortTable

    return CohortTable(tuple(record["columns"]), tuple(tuple(row) for row in record["rows"]))


def statistic_records(analysis: CohortAnalysis) -> list[dict[str, str | int | float]]:
    """Give all numbers of an analysis, a record a statistic, NaN where there is none."""
    from SynthCBVLib.analysis.cohort.statistics import statistic_rows

    return [
        {
            "what": row.subject_of,
            "group": row.group,
            "statistic": row.statistic,
            "n": row.n,
            "missing": row.n_missing,
            "value": float(row.value),
            "low": float(row.low),
            "high": float(row.high),
            "P": float(row.p),
        }
        for row in statistic_rows(analysis)
    ]


def chart_record(chart: Chart) -> dict[str, Any]:
    """Give a chart ready for JSON."""
    record = {field.name: getattr(chart, field.name) for field in fields(chart)}
    series = []
    for one in chart.series:
        own = {field.name: getattr(one, field.name) for field in fields(one)}
        series.append(own | {"x": one.x.tolist(), "y": one.y.tolist()})
    return record | {"series": series}


def charts_of(records: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Give the charts back."""
    import numpy as np

    from SynthCBVLib.analysis.cohort.plots import Chart, Series

    charts = []
    for record in records:
        series = tuple(
            Series(**{
                **one, "x": np.array(one["x"], float), "y": np.array(one["y"], float),
                "labels": tuple(one["labels"]),
            })
            for one in record["series"]
        )  # fmt: skip
        charts.append(
            Chart(**{
                **record, "series": series, "x_range": tuple(record["x_range"]),
                "y_range": tuple(record["y_range"]),
                "ticks": tuple((float(place), name) for place, name in record["ticks"]),
                "band": None if record["band"] is None else tuple(record["band"]),
            })
        )  # fmt: skip
    return charts
