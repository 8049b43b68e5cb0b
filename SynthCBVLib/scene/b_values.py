"""The b-values of nodes: Slicer keeps them in several places, and loses them in some.

Only diffusion-weighted volumes surely know them; the others are asked with care, and the caller's word comes
first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.volumes import node_name

if TYPE_CHECKING:
    import slicer

#: Node attribute with a series' b-values as a JSON list, s/mm²; survives what file formats forget.
B_VALUES_ATTRIBUTE = "SynthCBV.BValues"
#: Largest b-value, s/mm², that is taken for one.
LARGEST_B = 20000.0
_SAYS_B_VALUE = re.compile(r"b[-_ ]?val|(s|sec)\s*/\s*mm", re.IGNORECASE)


def series_b_values(node: slicer.vtkMRMLNode, b_values: Sequence[float] | None = None) -> tuple[float, ...]:
    """Give the b-values that `diffusion_series` would use for a node, without copying its voxels.

    Parameters
    ----------
    node : vtkMRMLNode
        Diffusion-weighted, vector, multi-volume or sequence node.
    b_values : sequence of float, optional
        s/mm²; they win over those that the node claims.

    Raises
    ------
    InputError
        If the b-values are neither given nor known, or not one a volume.
    """
    if node.IsA("vtkMRMLSequenceNode"):
        known, count = sequence_b_values(node), node.GetNumberOfDataNodes()
    else:
        data = node.GetImageData()
        known, count = volume_b_values(node), 0 if data is None else data.GetNumberOfScalarComponents()
    name = node_name(node)
    if count < 2:
        raise InputError(name, f"{count} volumes", "a diffusion series with one volume a b-value")
    chosen = choose_b_values(b_values, known, count, name)
    if len(chosen) != count:
        raise InputError(
            name, f"{len(chosen)} b-values for {count} volumes", "one b-value (s/mm²) for each volume"
        )
    return chosen


def choose_b_values(
    given: Sequence[float] | None, known: Sequence[float] | None, count: int, name: str
) -> tuple[float, ...]:
    """Take the caller's b-values, else the node's."""
    chosen = given if given is not None and len(given) else known
    if chosen is None or not len(chosen):
        raise InputError(
            name, "no b-values", f"{count} b-values in s/mm², one a volume",
            "Slicer lost them when it loaded the images: type them in the order of the volumes.",
        )  # fmt: skip
    return tuple(float(b) for b in chosen)


def volume_b_values(node: slicer.vtkMRMLVolumeNode) -> list[float] | None:
    """Ask a multi-component node for its b-values; None if it does not know them."""
    stored = _stored(node)
    if stored is not None:
        return stored
    labels = node.GetAttribute("MultiVolume.FrameLabels")
    if labels:
        tag = node.GetAttribute("MultiVolume.FrameIdentifyingDICOMTagName") or ""
        unit = node.GetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits") or ""
        return _plausible(labels.split(",")) if _SAYS_B_VALUE.search(f"{tag} {unit}") else None
    if not node.IsA("vtkMRMLDiffusionWeightedVolumeNode"):
        return None
    # Files give them as squared gradient lengths, hence 999.9999966 for 1000.
    b = [round(node.GetBValue(i), 3) for i in range(node.GetNumberOfGradients())]
    if len(set(b)) == 1:
        # One nominal value for all volumes: those without a direction are the b = 0 images.
        b = [value if any(node.GetDiffusionGradient(i)) else 0.0 for i, value in enumerate(b)]
    return b if any(value > 0 for value in b) else None


def sequence_b_values(node: slicer.vtkMRMLSequenceNode) -> list[float] | None:
    """Ask a sequence for its b-values; None where its index is a time or a frame number."""
    stored = _stored(node)
    if stored is not None:
        return stored
    if not _SAYS_B_VALUE.search(f"{node.GetIndexName()} {node.GetIndexUnit()}"):
        return None
    return _plausible([node.GetNthIndexValue(i) for i in range(node.GetNumberOfDataNodes())])


def _stored(node: slicer.vtkMRMLNode) -> list[float] | None:
    """Read our attribute; None if it is missing or was edited into something else."""
    try:
        return [float(b) for b in json.loads(node.GetAttribute(B_VALUES_ATTRIBUTE) or "null")]
    except (ValueError, TypeError):
        return None


def _plausible(texts: Sequence[str]) -> list[float] | None:
    """Read b-values; None unless all are numbers in range and not all the same."""
    try:
        values = [float(text) for text in texts]
    except ValueError:
        return None
    # GE scanners add 1e6 or 1e9 as a mark.
    values = [value % 1e6 if value >= 1e6 else value for value in values]
    fits = all(0 <= value <= LARGEST_B for value in values) and len(set(values)) > 1
    return values if fits else None
