"""T/WM ratios of maps in the scene, from regions drawn there. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from SynthCBVLib.analysis.regions import ratio_row, split_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.scene import add_ratio_table, region_masks, volume_to_image

if TYPE_CHECKING:
    import slicer


def ratio_table(
    regions: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode,
    maps: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
    name: str,
) -> slicer.vtkMRMLTableNode:
    """Compute the T/WM ratio of each map and put the rows into the scene as a table.

    Parameters
    ----------
    regions : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode
        Regions whose names start with Tumour and White matter.
    maps : Mapping
        Map by the name that its row gets; each is measured on its own grid.
    name : str
        Name of the table node.

    Raises
    ------
    InputError
        If there is no map, or a region is missing, empty or outside a map.
    """
    if not maps:
        raise InputError("Regions", "no map", "at least one map", "Choose the synthetic rCBV map.")
    rows = []
    for label, node in maps.items():
        image = volume_to_image(node)
        tumour, white_matter = split_regions(region_masks(regions, image))
        row = ratio_row(label, image, tumour, white_matter)
        rows.append(
            {
                "Map": label,
                "T/WM": row.ratio.ratio,
                "Tumour": row.ratio.tumour,
                "White matter": row.ratio.white_matter,
                "Regions": f"{row.ratio.n.tumour} + {row.ratio.n.white_matter}",
            }
        )
    return add_ratio_table(rows, name)
