"""Regions on maps: T/WM ratios, their uncertainty, stamps, proposals, findings."""

from SynthCBVLib.analysis.regions.ratios import (
    Ratio,
    RatioInterval,
    RatioRow,
    RegionCounts,
    Regions,
    RegionStatistic,
    named_regions,
    ratio_row,
    ratio_table,
    region_statistics,
    split_regions,
    t_wm_ratio,
    write_ratios_csv,
)

__all__ = [
    "Ratio",
    "RatioInterval",
    "RatioRow",
    "RegionCounts",
    "RegionStatistic",
    "Regions",
    "named_regions",
    "ratio_row",
    "ratio_table",
    "region_statistics",
    "split_regions",
    "t_wm_ratio",
    "write_ratios_csv",
]
