"""Ratio tables as CSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from SynthCBVLib.analysis.arrays import csv_text
from SynthCBVLib.analysis.regions.results import RatioRow
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole


def write_ratios_csv(rows: Sequence[RatioRow], path: str | os.PathLike[str]) -> Path:
    """Write a ratio table as CSV (UTF-8), whole or not at all.

    One row a map: ratio, means, numbers of regions, the ratio's interval if any row has one, then mean, SD,
    voxels and volume of each region; the header names the units. Strings that a spreadsheet would take for a
    formula are made harmless.

    Raises
    ------
    InputError
        If there are no rows, or the file cannot be written.
    """
    path = Path(path)
    if not rows:
        raise InputError(path, "no ratios to write", "at least one row")
    names = list(dict.fromkeys(region.name for row in rows for region in row.regions))
    with_interval = any(row.interval is not None for row in rows)
    header = [
        "map",
        "T/WM ratio (tumour mean / white-matter mean)",
        "tumour mean (map units, mean of region means)",
        "white-matter mean (map units, mean of region means)",
        "tumour regions (count)",
        "white-matter regions (count)",
    ]
    if with_interval:
        header += ["T/WM ratio lower limit", "T/WM ratio upper limit", "level of the limits (share)"]
        header += ["T/WM ratio SD (relative)"]
    for name in names:
        header += [f"{name} mean (map units)", f"{name} SD (map units)"]
        header += [f"{name} voxels (count)", f"{name} volume (mm3)"]
    table: list[list[object]] = [header]
    for row in rows:
        line: list[object] = [
            row.map,
            row.ratio.ratio,
            row.ratio.tumour,
            row.ratio.white_matter,
            *row.ratio.n,
        ]
        if with_interval:
            i = row.interval
            line += [None] * 4 if i is None else [i.lower, i.upper, i.level, i.relative_sd]
        by_name = {region.name: region for region in row.regions}
        for name in names:
            region = by_name.get(name)
            line += (
                [None] * 4 if region is None else [region.mean, region.sd, region.n_voxels, region.volume_mm3]
            )
        table.append(line)
    with written_whole(path) as (temporary,):
        temporary.write_bytes(csv_text(table).encode("utf-8"))
    return path
