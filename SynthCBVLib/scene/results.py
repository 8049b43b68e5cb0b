"""Synthesis results and ratio tables -> nodes of the scene."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.colours import perfusion_colours
from SynthCBVLib.scene.prepared import PreparedVolume, prepare, put
from SynthCBVLib.scene.steps import finished
from SynthCBVLib.worker.handover import Volume
from SynthCBVLib.worker.tasks.synthesis import highest

if TYPE_CHECKING:
    import slicer

#: Node attributes of a synthesised map: how it was made, and what was noticed on the way (JSON).
PROVENANCE_ATTRIBUTE = "SynthCBV.Provenance"
FINDINGS_ATTRIBUTE = "SynthCBV.Findings"
#: Roles under which a synthesised map knows its uncertainty and brain mask; saved with the scene.
UNCERTAINTY_ROLE, MASK_ROLE = "SynthCBVUncertainty", "SynthCBVMask"
#: Before the modality: role of the node that a map was made of.
INPUT_ROLE = "SynthCBVInput"


class SynthesisResult(Protocol):
    """What the scene needs of a synthesis (`SynthCBVLib.synthesis.Synthesis`)."""

    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: Mapping[str, object]
    findings: Sequence[object]


class SynthesisNodes(NamedTuple):
    """Nodes that a synthesis left in the scene."""

    rcbv: slicer.vtkMRMLScalarVolumeNode
    uncertainty: slicer.vtkMRMLScalarVolumeNode
    mask: slicer.vtkMRMLLabelMapVolumeNode


def add_synthesis(
    result: SynthesisResult,
    name: str,
    scene: slicer.vtkMRMLScene | None = None,
    inputs: Mapping[str, slicer.vtkMRMLNode] | None = None,
) -> SynthesisNodes:
    """Put a synthesis into the scene: rCBV, uncertainty and brain mask.

    Parameters
    ----------
    result : SynthesisResult
        Maps on one grid, with provenance and findings, which the rCBV node keeps as attributes.
    name : str
        Stands before " synthetic rCBV", " uncertainty" and " brain mask".
    scene : vtkMRMLScene, optional
        The current one by default.
    inputs : Mapping, optional
        Node of each modality that the maps were made of; the rCBV node remembers them (`input_of`).

    Returns
    -------
    SynthesisNodes
        All three nodes; if one fails, none stays.
    """
    volumes = {kind: Volume.of(getattr(result, kind), kind) for kind in ("rcbv", "uncertainty", "mask")}
    windows = {kind: highest(getattr(result, kind), result.mask) for kind in ("rcbv", "uncertainty")}
    maps = prepare_maps(volumes, windows, result.provenance, result.findings)
    return finished(show_maps(maps, name, scene, inputs))


@dataclass(frozen=True)
class PreparedMaps:
    """A synthesis made ready for the scene.

    Parameters
    ----------
    volumes : Mapping
        "rcbv", "uncertainty" and "mask".
    windows : Mapping
        Highest value of the display of "rcbv" and "uncertainty".
    provenance : Mapping
        How the maps were made.
    findings : sequence
        What was noticed on the way.
    """

    volumes: Mapping[str, PreparedVolume]
    windows: Mapping[str, float]
    provenance: Mapping[str, object]
    findings: Sequence[object]


def prepare_maps(
    volumes: Mapping[str, Volume],
    windows: Mapping[str, float],
    provenance: Mapping[str, object],
    findings: Sequence[object],
) -> PreparedMaps:
    """Make a synthesis ready for the scene, which is not touched; parameters as of `PreparedMaps`."""
    mask = volumes["mask"]
    volumes = {**volumes, "mask": replace(mask, array=(mask.array != 0).astype(np.uint8))}
    prepared = {kind: prepare(volume) for kind, volume in volumes.items()}
    return PreparedMaps(prepared, windows, provenance, findings)


def show_maps(
    maps: PreparedMaps,
    name: str,
    scene: slicer.vtkMRMLScene | None = None,
    inputs: Mapping[str, slicer.vtkMRMLNode] | None = None,
) -> Generator[None, None, SynthesisNodes]:
    """Put a synthesis into the scene, a node a step; if it is stopped or fails, no node stays.

    Parameters
    ----------
    maps : PreparedMaps
        What was made.
    name : str
        As for `add_synthesis`.
    scene : vtkMRMLScene, optional
        The current one by default.
    inputs : Mapping, optional
        As for `add_synthesis`.
    """
    scene = scene or current_scene()
    colours = perfusion_colours(scene)
    made: dict[str, slicer.vtkMRMLVolumeNode] = {}
    try:
        for kind, what in (
            ("rcbv", "synthetic rCBV"),
            ("uncertainty", "uncertainty"),
            ("mask", "brain mask"),
        ):
            window = (0.0, maps.windows[kind]) if kind in maps.windows else None
            prepared = replace(maps.volumes[kind], name=f"{name} {what}")
            made[kind] = put(
                prepared, labelmap=kind == "mask", colours=None if kind == "mask" else colours, window=window,
                scene=scene,
            )  # fmt: skip
            yield
        for kind in ("rcbv", "uncertainty"):
            made[kind].SetAttribute(PROVENANCE_ATTRIBUTE, _json(maps.provenance))
        keep_findings(made["rcbv"], maps.findings)
        for role, kind in ((UNCERTAINTY_ROLE, "uncertainty"), (MASK_ROLE, "mask")):
            made["rcbv"].SetNodeReferenceID(role, made[kind].GetID())
        for modality, node in (inputs or {}).items():
            made["rcbv"].SetNodeReferenceID(INPUT_ROLE + modality, node.GetID())
        yield
    except BaseException:  # also where the steps are stopped
        for node in made.values():
            scene.RemoveNode(node)
        raise
    return SynthesisNodes(made["rcbv"], made["uncertainty"], made["mask"])


def input_of(node: slicer.vtkMRMLScalarVolumeNode, modality: str) -> slicer.vtkMRMLNode | None:
    """Give the node of a modality that a synthesised map was made of; None if it is not known or gone."""
    return node.GetNodeReference(INPUT_ROLE + modality)


def reference_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLNode | None:
    """Give the node whose grid a synthesised map has; None if it is not known or gone."""
    return input_of(node, str(provenance_of(node).get("reference", "")))


def uncertainty_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Give the uncertainty map that came with a synthesised map; None for other maps."""
    return node.GetNodeReference(UNCERTAINTY_ROLE)


def mask_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLLabelMapVolumeNode | None:
    """Give the brain mask that came with a synthesised map; None for other maps."""
    return node.GetNodeReference(MASK_ROLE)


def provenance_of(node: slicer.vtkMRMLNode) -> dict[str, Any]:
    """Give how a map was made, as `SynthCBVLib.synthesis.Synthesis` tells; empty for other maps."""
    found = _parsed(node.GetAttribute(PROVENANCE_ATTRIBUTE))
    return found if isinstance(found, dict) else {}


def findings_of(node: slicer.vtkMRMLNode) -> list[Finding]:
    """Give what was noticed when a node was made."""
    found = _parsed(node.GetAttribute(FINDINGS_ATTRIBUTE))
    return [
        Finding(one.get("severity", "info"), one.get("modality"), one.get("what", ""), one.get("remedy", ""))
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict)
    ]


def keep_findings(node: slicer.vtkMRMLNode, findings: Sequence[object]) -> None:
    """Put findings on a node, where `findings_of` reads them."""
    node.SetAttribute(FINDINGS_ATTRIBUTE, _json(findings))


def add_ratio_table(
    rows: Sequence[Mapping[str, float | int | str]],
    name: str,
    scene: slicer.vtkMRMLScene | None = None,
    node: slicer.vtkMRMLTableNode | None = None,
) -> slicer.vtkMRMLTableNode:
    """Put rows into the scene as a table node.

    Parameters
    ----------
    rows : sequence of mappings
        Column name -> value, the same columns in each row; a column is numeric if all its values are.
    name : str
        Name of the node.
    scene : vtkMRMLScene, optional
        The current one by default.
    node : vtkMRMLTableNode, optional
        Filled anew, whatever its name; by default a node is made.

    Raises
    ------
    InputError
        If there are no rows, or their columns differ.
    """
    from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkIntArray, vtkStringArray

    if not rows:
        raise InputError(name, "no rows", "at least one row")
    columns = list(rows[0])
    if any(list(row) != columns for row in rows):
        raise InputError(name, "rows with different columns", "the same columns in each row")
    if node is None:
        node = (scene or current_scene()).AddNewNodeByClass("vtkMRMLTableNode", name)
    modified = node.StartModify()
    node.RemoveAllColumns()
    for column in columns:
        values = [row[column] for row in rows]
        numeric = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in values)
        whole = numeric and all(isinstance(v, (int, np.integer)) for v in values)
        array = vtkIntArray() if whole else vtkDoubleArray() if numeric else vtkStringArray()
        array.SetName(column)
        for value in values:
            array.InsertNextValue(int(value) if whole else float(value) if numeric else str(value))
        node.AddColumn(array)
    node.SetLocked(True)
    node.EndModify(modified)
    return node


def _parsed(text: str | None) -> object:
    """Read an attribute; None if it is missing or was edited into something else."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _json(value: object) -> str:
    def plain(thing: object) -> object:
        if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
            return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
        if isinstance(thing, Mapping):
            return dict(thing)
        if isinstance(thing, np.generic):
            return thing.item()
        return str(thing)

    return json.dumps(dict(value) if isinstance(value, Mapping) else list(value), default=plain)
