"""Nodes -> diffusion series and studies, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.diffusion_files import phase_direction_of
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, join_vector, n_volumes
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.b_values import (
    B_VALUES_ATTRIBUTE,
    choose_b_values,
    sequence_b_values,
    volume_b_values,
)
from SynthCBVLib.scene.steps import finished
from SynthCBVLib.scene.volumes import (
    copy_steps,
    ensure_display,
    fill,
    image_to_volume,
    node_name,
    view_volume,
)
from SynthCBVLib.worker.handover import Volume
from SynthCBVLib.worker.study import AslTiming, HandedStudy, joined

if TYPE_CHECKING:
    import slicer

    SeriesNodes = slicer.vtkMRMLNode | Sequence[slicer.vtkMRMLNode]


@dataclass(frozen=True)
class AslNodes:
    """Nodes of arterial spin labelling before quantification, with its timing.

    Parameters
    ----------
    control, label, m0 : vtkMRMLVolumeNode
        Volumes of one acquisition; those with several components are averaged.
    labelling : str
        "pcasl" or "pasl".
    label_duration, post_label_delay : float or None
        Seconds; None where it is not known, which leaves relative perfusion.
    """

    control: slicer.vtkMRMLVolumeNode
    label: slicer.vtkMRMLVolumeNode
    m0: slicer.vtkMRMLVolumeNode
    labelling: str = "pcasl"
    label_duration: float | None = None
    post_label_delay: float | None = None


def diffusion_series(nodes: SeriesNodes, b_values: Sequence[float] | None = None) -> DiffusionSeries:
    """Read a diffusion series from whichever way Slicer holds it.

    Parameters
    ----------
    nodes : node or sequence of nodes
        A diffusion-weighted, vector or multi-volume node, a sequence node of scalar volumes, or a list of
        separate scalar volume nodes.
    b_values : sequence of float, optional
        s/mm², one a volume; they win over those that the node claims.

    Returns
    -------
    DiffusionSeries
        3D vector image with one component a volume.

    Raises
    ------
    InputError
        If the b-values are neither given nor known, or the volumes do not share one grid.
    """
    image, name = series_image(nodes, "one volume a b-value")
    known = _b_values(nodes, b_values, n_volumes(image), name)
    return DiffusionSeries(image, known, name, _phase_direction(nodes))


def series_image(nodes: SeriesNodes, volumes: str) -> tuple[sitk.Image, str]:
    """Read several volumes of one grid from whichever way Slicer holds them.

    Parameters
    ----------
    nodes : node or sequence of nodes
        As for `diffusion_series`.
    volumes : str
        What the volumes are, for messages, such as "one volume a b-value".

    Returns
    -------
    tuple
        3D vector image with one component a volume, and the name for messages.

    Raises
    ------
    InputError
        If there is one volume only, or the volumes do not share one grid.
    """
    members, name = _members(nodes)
    return joined([view_volume(node, member) for member, node in members], volumes), name


def study_from_nodes(
    subject: str,
    nodes: Mapping[Modality, SeriesNodes],
    b_values: Sequence[float] | None = None,
    asl: AslNodes | None = None,
) -> Study:
    """Make a study from nodes of the scene.

    Parameters
    ----------
    subject : str
        Label of the subject, letters and digits.
    nodes : Mapping
        Node of each modality at hand; for `Modality.DWI` also a sequence of volume nodes.
    b_values : sequence of float, optional
        b-values of the DWI volumes, s/mm²; see `diffusion_series`.
    asl : AslNodes, optional
        Stands for `Modality.CBF` where no CBF map is at hand.

    Returns
    -------
    Study
        Copies of the voxels; later changes of the nodes do not reach it.

    Raises
    ------
    InputError
        If a node cannot be used, or holds only zeros or values that are not numbers.
    """
    return finished(copy_study(subject, nodes, b_values, asl)).study()


def copy_study(
    subject: str,
    nodes: Mapping[Modality, SeriesNodes],
    b_values: Sequence[float] | None = None,
    asl: AslNodes | None = None,
) -> Generator[None, None, HandedStudy]:
    """Copy what a study needs of the scene, in short steps; parameters and errors as for `study_from_nodes`.

    What the voxels hold is looked at later, by `HandedStudy.study`.
    """
    if not re.fullmatch(r"[A-Za-z0-9]+", subject or ""):
        raise InputError("subject", repr(subject), "a label of letters and digits")
    if asl is not None and Modality.CBF in nodes:
        raise InputError("CBF", "both a CBF map and control, label and M0 volumes", "one of the two")
    if asl is None and not nodes:
        raise InputError("study", "no volumes", "at least one volume", "Choose the volumes of the study.")
    volumes: dict[Modality, tuple[Volume, ...]] = {}
    series, known, phase = "DWI", (), ""
    for modality, node in nodes.items():
        copies: list[Volume] = []
        members, name = _members(node)
        for member_name, member in members:
            copies.append((yield from copy_steps(member, member_name)))
        volumes[modality] = tuple(copies)
        if modality is Modality.DWI and copies:
            count = (
                len(copies)
                if len(copies) > 1
                else copies[0].array.shape[3]
                if copies[0].array.ndim > 3
                else 1
            )
            # A single volume is no series: `HandedStudy.study` says so.
            series, known = name, _b_values(node, b_values, count, name) if count > 1 else ()
            phase = _phase_direction(node)
    parts: list[Volume] = []
    for part in () if asl is None else (asl.control, asl.label, asl.m0):
        parts.append((yield from copy_steps(part)))
    timing = (
        AslTiming() if asl is None else AslTiming(asl.labelling, asl.label_duration, asl.post_label_delay)
    )
    return HandedStudy(subject, volumes, known, tuple(parts), timing, series, phase)


def _phase_direction(nodes: SeriesNodes) -> str:
    """Read the phase direction from the sidecar of the file that a node came from; empty without one."""
    node = nodes if hasattr(nodes, "GetStorageNode") else next(iter(nodes), None)
    storage = None if node is None else node.GetStorageNode()
    path = None if storage is None else storage.GetFileName()
    return phase_direction_of(Path(path)) if path else ""


def series_to_volume(
    series: DiffusionSeries, name: str, scene: slicer.vtkMRMLScene | None = None
) -> slicer.vtkMRMLDiffusionWeightedVolumeNode:
    """Put a diffusion series into the scene as a diffusion-weighted volume node with its b-values."""
    node = (scene or current_scene()).AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode", name)
    fill(node, join_vector(series.volumes()))
    describe_diffusion(node, series.b_values)
    ensure_display(node)
    return node


def describe_diffusion(node: slicer.vtkMRMLDiffusionWeightedVolumeNode, b_values: Sequence[float]) -> None:
    """Tell a diffusion-weighted volume its b-values (s/mm²), one a component."""
    node.SetNumberOfGradients(len(b_values))
    # Slicer's NRRD writer takes the b-values from attributes, in the header's convention: one nominal
    # value, and b as the squared length of a gradient. A b-value without a direction would be lost, so the
    # diagonal stands for the mean over directions that each image is.
    nominal = max(b_values) or 1.0
    node.SetAttribute("modality", "DWMRI")
    node.SetAttribute("DWMRI_b-value", f"{nominal:.17g}")
    for i, b in enumerate(b_values):
        component = (b / nominal / 3.0) ** 0.5
        node.SetBValue(i, b)
        node.SetDiffusionGradient(i, [3**-0.5 if b > 0 else 0.0] * 3)
        node.SetAttribute(f"DWMRI_gradient_{i:04d}", " ".join([f"{component:.17g}"] * 3))
    node.SetAttribute(B_VALUES_ATTRIBUTE, json.dumps(list(b_values)))


def add_study(
    study: Study, prefix: str = "", scene: slicer.vtkMRMLScene | None = None
) -> dict[Modality | str, slicer.vtkMRMLVolumeNode]:
    """Put all images of a study into the scene, each under its modality's name.

    Parameters
    ----------
    study : Study
        Its images become scalar volumes, the diffusion series a diffusion-weighted volume, and arterial spin
        labelling three volumes.
    prefix : str
        Stands before each node's name; ``sub-<subject>`` if empty.
    scene : vtkMRMLScene, optional
        The current one by default.

    Returns
    -------
    dict
        Node of each modality; for an `AslSeries` under "control", "label" and "M0".
    """
    prefix = prefix or f"sub-{study.subject}"
    nodes: dict[Modality | str, slicer.vtkMRMLVolumeNode] = {}
    for modality, image in study.images.items():
        if isinstance(image, DiffusionSeries):
            nodes[modality] = series_to_volume(image, f"{prefix} {modality}", scene)
        elif isinstance(image, AslSeries):
            for part, volume in (("control", image.control), ("label", image.label), ("M0", image.m0)):
                nodes[part] = image_to_volume(volume, f"{prefix} ASL {part}", scene=scene)
        else:
            nodes[modality] = image_to_volume(image, f"{prefix} {modality}", scene=scene)
    return nodes


def _members(nodes: SeriesNodes) -> tuple[list[tuple[str, slicer.vtkMRMLVolumeNode]], str]:
    """Give the volumes of a node, or of several, with the name of each and of all."""
    if isinstance(nodes, Sequence):
        return [(node_name(node), node) for node in nodes], "series"
    name = node_name(nodes)
    if nodes is not None and nodes.IsA("vtkMRMLSequenceNode"):
        items = [nodes.GetNthDataNode(i) for i in range(nodes.GetNumberOfDataNodes())]
        return [(f"{name} item {i + 1}", item) for i, item in enumerate(items)], name
    return [(name, nodes)], name


def _b_values(nodes: SeriesNodes, given: Sequence[float] | None, count: int, name: str) -> tuple[float, ...]:
    if isinstance(nodes, Sequence):
        known = None
    elif nodes.IsA("vtkMRMLSequenceNode"):
        known = sequence_b_values(nodes)
    else:
        known = volume_b_values(nodes)
    return choose_b_values(given, known, count, name)
