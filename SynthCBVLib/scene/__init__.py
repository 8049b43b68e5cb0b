"""MRML nodes <-> studies and maps: the only place, with the panel, that knows Slicer's data.

Works inside 3D Slicer and, with the ``slicer-core`` package, in plain Python. Nodes are taken and given in
world space: linear parent transforms are part of the geometry that a study sees.
"""

from SynthCBVLib.scene.application import current_scene, new_scene
from SynthCBVLib.scene.b_values import series_b_values
from SynthCBVLib.scene.bundle import load_scene, save_scene
from SynthCBVLib.scene.colours import perfusion_colours
from SynthCBVLib.scene.physiology import fit_ivim, quantify_asl, quantify_dsc
from SynthCBVLib.scene.regions import add_regions, region_masks, segment_mask
from SynthCBVLib.scene.results import SynthesisNodes, add_ratio_table, add_synthesis
from SynthCBVLib.scene.series import (
    AslNodes,
    add_study,
    diffusion_series,
    series_to_volume,
    study_from_nodes,
)
from SynthCBVLib.scene.volumes import image_to_volume, volume_to_image

__all__ = [
    "AslNodes",
    "SynthesisNodes",
    "add_ratio_table",
    "add_regions",
    "add_study",
    "add_synthesis",
    "current_scene",
    "diffusion_series",
    "fit_ivim",
    "image_to_volume",
    "load_scene",
    "new_scene",
    "perfusion_colours",
    "quantify_asl",
    "quantify_dsc",
    "region_masks",
    "save_scene",
    "segment_mask",
    "series_b_values",
    "series_to_volume",
    "study_from_nodes",
    "volume_to_image",
]
