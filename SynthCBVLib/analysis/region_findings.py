"""Findings about regions: a ratio that can be computed may still not deserve trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.analysis.arrays import Volume, inside_of, values_of
from SynthCBVLib.analysis.regions import Regions, named_regions, region_statistics

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding

#: The papers' regions are of about 0.25 cm²; half of it or less is reported.
PAPER_AREA_MM2 = 25.0


def check_regions(map: Volume, tumour: Regions, white_matter: Regions) -> list[Finding]:
    """Look for regions that give a ratio which should not be trusted, though it can be computed.

    Returns
    -------
    list of Finding
        Overlap between tumour and white matter; a region of half the papers' area or less; a region that
        reaches voxels where the map is exactly zero (outside the brain); less than three regions a kind.

    Raises
    ------
    InputError
        As `region_statistics`.
    """
    findings: list[Finding] = []
    values = values_of(map, "map")
    kinds = {
        "Tumour": named_regions(tumour, "Tumour"),
        "White matter": named_regions(white_matter, "White matter"),
    }
    inside: dict[str, dict[str, np.ndarray]] = {}
    for kind, masks in kinds.items():
        statistics = region_statistics(map, masks)
        inside[kind] = {region: inside_of(mask, region) for region, mask in masks.items()}
        if len(masks) < 3:
            findings.append(
                _warn(
                    f"Only {len(masks)} {kind.lower()} region{'s' if len(masks) > 1 else ''}.",
                    "Draw three regions of each kind.",
                )
            )
        for region in statistics:
            if region.area_mm2 is not None and region.area_mm2 <= PAPER_AREA_MM2 / 2:
                findings.append(
                    _warn(
                        f"{region.name} covers {region.area_mm2:.1f} mm² in its largest slice.",
                        f"Draw regions of about {PAPER_AREA_MM2:.0f} mm².",
                    )
                )
            share = float((values[inside[kind][region.name]] == 0).mean())
            if share > 0:
                findings.append(
                    _warn(
                        f"{share:.0%} of {region.name} lies where the map is zero.",
                        "Move the region inside the brain.",
                    )
                )
    for name, mask in inside["Tumour"].items():
        for other, other_mask in inside["White matter"].items():
            common = int((mask & other_mask).sum())
            if common:
                findings.append(_warn(f"{name} and {other} share {common} voxels.", "Draw them apart."))
    return findings


def _warn(what: str, remedy: str) -> Finding:
    from SynthCBVLib.imaging.quality import Finding

    return Finding("warning", None, what, remedy)
