"""Nodes -> diffusion series and studies, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import (
    AslSeries,
    DiffusionSeries,
    Modality,
    Study,
    StudyImage,
    is_series,
    join_vector,
    n_volumes,
    same_grid,
    split_volumes,
)
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.b_values import (
    B_VALUES_ATTRIBUTE,
    choose_b_values,
    sequence_b_values,
    volume_b_values,
)
from SynthCBVLib.scene.volumes import ensure_display, fill, image_to_volume, node_name, volume_to_image

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
    if isinstance(nodes, Sequence):
        known = None
    elif nodes.IsA("vtkMRMLSequenceNode"):
        known = sequence_b_values(nodes)
    else:
        known = volume_b_values(nodes)
    return DiffusionSeries(image, choose_b_values(b_values, known, n_volumes(image), name), name)


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
    if isinstance(nodes, Sequence):
        members = [volume_to_image(node) for node in nodes]
        names, name = [node_name(node) for node in nodes], "series"
    elif nodes is not None and nodes.IsA("vtkMRMLSequenceNode"):
        items = [nodes.GetNthDataNode(i) for i in range(nodes.GetNumberOfDataNodes())]
        members, name = [volume_to_image(item) for item in items], node_name(nodes)
        names = [f"{name} item {i + 1}" for i in range(len(items))]
    else:
        image, name = volume_to_image(nodes), node_name(nodes)
        if not is_series(image):
            raise InputError(
                name, "a single volume", f"a series with {volumes}",
                f"Choose a multi-component volume, a volume sequence, or {volumes}.",
            )  # fmt: skip
        return image, name
    if len(members) < 2:
        raise InputError(name, f"{len(members)} volumes", f"a series with {volumes}, at least 2")
    for member, member_name in zip(members, names, strict=True):
        if is_series(member):
            raise InputError(
                member_name, f"a volume with {n_volumes(member)} components", f"a scalar volume ({volumes})"
            )
        if not same_grid(members[0], member):
            raise InputError(
                member_name, f"another grid {member.GetSize()} than {names[0]} {members[0].GetSize()}",
                "all volumes of the series on one grid",
            )  # fmt: skip
    return join_vector([sitk.Cast(member, sitk.sitkFloat32) for member in members]), name


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
    if not re.fullmatch(r"[A-Za-z0-9]+", subject or ""):
        raise InputError("subject", repr(subject), "a label of letters and digits")
    if asl is not None and Modality.CBF in nodes:
        raise InputError("CBF", "both a CBF map and control, label and M0 volumes", "one of the two")
    images: dict[Modality, StudyImage] = {}
    for modality, node in nodes.items():
        if modality is Modality.DWI:
            series = diffusion_series(node, b_values)
            _check_content(series.image, series.name)
            images[modality] = series
        else:
            images[modality] = _scalar(node)
    if asl is not None:
        images[Modality.CBF] = AslSeries(
            *(_mean(node) for node in (asl.control, asl.label, asl.m0)),
            asl.labelling, asl.label_duration, asl.post_label_delay, node_name(asl.control),
        )  # fmt: skip
    if not images:
        raise InputError("study", "no volumes", "at least one volume", "Choose the volumes of the study.")
    return Study(subject, images)


def series_to_volume(
    series: DiffusionSeries, name: str, scene: slicer.vtkMRMLScene | None = None
) -> slicer.vtkMRMLDiffusionWeightedVolumeNode:
    """Put a diffusion series into the scene as a diffusion-weighted volume node with its b-values."""
    node = (scene or current_scene()).AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode", name)
    fill(node, join_vector(series.volumes()))
    node.SetNumberOfGradients(series.n_volumes)
    # Slicer's NRRD writer takes the b-values from attributes, in the header's convention: one nominal
    # value, and b as the squared length of a gradient. A b-value without a direction would be lost, so the
    # diagonal stands for the mean over directions that each image is.
    nominal = max(series.b_values) or 1.0
    node.SetAttribute("modality", "DWMRI")
    node.SetAttribute("DWMRI_b-value", f"{nominal:.17g}")
    for i, b in enumerate(series.b_values):
        component = (b / nominal / 3.0) ** 0.5
        node.SetBValue(i, b)
        node.SetDiffusionGradient(i, [3**-0.5 if b > 0 else 0.0] * 3)
        node.SetAttribute(f"DWMRI_gradient_{i:04d}", " ".join([f"{component:.17g}"] * 3))
    node.SetAttribute(B_VALUES_ATTRIBUTE, json.dumps(list(series.b_values)))
    ensure_display(node)
    return node


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


def _scalar(node: slicer.vtkMRMLVolumeNode) -> sitk.Image:
    image = volume_to_image(node)
    if is_series(image):
        raise InputError(node_name(node), f"a volume with {n_volumes(image)} components", "one scalar volume")
    _check_content(image, node_name(node))
    return image


def _mean(node: slicer.vtkMRMLVolumeNode) -> sitk.Image:
    """Average the repeats of a volume (control, label and M0 often come as such)."""
    image = volume_to_image(node)
    _check_content(image, node_name(node))
    volumes = [sitk.Cast(volume, sitk.sitkFloat32) for volume in split_volumes(image)]
    total = volumes[0]
    for volume in volumes[1:]:
        total = total + volume
    return total / float(len(volumes))


def _check_content(image: sitk.Image, name: str) -> None:
    array = sitk.GetArrayViewFromImage(image)
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(name, f"{bad} voxels that are not numbers (NaN or infinite)", "finite values")
    if not array.any():
        raise InputError(name, "only zeros", "an image", "Load the volume again or choose another one.")
