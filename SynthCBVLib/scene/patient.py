"""Digital patients -> nodes of the scene."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.colours import perfusion_colours
from SynthCBVLib.scene.prepared import PreparedVolume, prepare, put
from SynthCBVLib.scene.regions import add_regions
from SynthCBVLib.scene.series import describe_diffusion
from SynthCBVLib.worker.handover import Volume
from SynthCBVLib.worker.tasks.patient import OUTLINE

if TYPE_CHECKING:
    import SimpleITK as sitk
    import slicer

#: Name of the segment that outlines the lesion.
LESION = "Lesion"


@dataclass(frozen=True)
class PreparedPatient:
    """A digital patient made ready for the scene.

    Parameters
    ----------
    volumes : Mapping
        Image of each modality.
    b_values : tuple of float
        Of the DWI, s/mm².
    outline : sitk.Image
        Mask of the solid lesion.
    windows : Mapping
        Lowest and highest value of each image's display: Slicer would search all voxels for them, which takes
        long for an event loop.
    """

    volumes: Mapping[Modality, PreparedVolume]
    b_values: tuple[float, ...]
    outline: sitk.Image
    windows: Mapping[Modality, tuple[float, float]]


class PatientNodes(NamedTuple):
    """Nodes of a digital patient: image of each modality, and the segmentation that outlines the lesion."""

    images: Mapping[Modality, slicer.vtkMRMLVolumeNode]
    regions: slicer.vtkMRMLSegmentationNode


def prepare_patient(volumes: Mapping[str, Volume], more: Mapping[str, Any]) -> PreparedPatient:
    """Make a digital patient ready for the scene, which is not touched.

    Parameters
    ----------
    volumes, more : Mapping
        As the worker's task "simulate" left them.
    """
    given = {Modality(key): volume for key, volume in volumes.items() if key != OUTLINE}
    images = {modality: prepare(volume) for modality, volume in given.items()}
    windows = {modality: _window(volume) for modality, volume in given.items()}
    return PreparedPatient(images, tuple(more.get("b_values", ())), volumes[OUTLINE].image(), windows)


def show_patient(
    patient: PreparedPatient, name: str, scene: slicer.vtkMRMLScene | None = None
) -> Generator[None, None, PatientNodes]:
    """Put a digital patient into the scene, a node a step; if it is stopped or fails, no node stays.

    Parameters
    ----------
    patient : PreparedPatient
        What was made.
    name : str
        Stands before the modalities in the nodes' names.
    scene : vtkMRMLScene, optional
        The current one by default.
    """
    scene = scene or current_scene()
    made: list[slicer.vtkMRMLNode] = []
    images: dict[Modality, slicer.vtkMRMLVolumeNode] = {}
    try:
        for modality, volume in patient.volumes.items():
            what = "real rCBV" if modality is Modality.RCBV else str(modality)
            colours = perfusion_colours(scene) if modality is Modality.RCBV else None
            node = put(
                replace(volume, name=f"{name} {what}"), diffusion=modality is Modality.DWI, colours=colours,
                window=patient.windows[modality], scene=scene,
            )  # fmt: skip
            made.append(node)
            images[modality] = node
            if modality is Modality.DWI:
                describe_diffusion(node, patient.b_values)
            yield
        reference = images[next(iter(images))]
        regions = add_regions({LESION: patient.outline}, reference, f"{name} regions", scene)
        made.append(regions)
        yield
    except BaseException:  # also where the steps are stopped
        for node in made:
            scene.RemoveNode(node)
        raise
    return PatientNodes(images, regions)


def _window(volume: Volume) -> tuple[float, float]:
    """Give the lowest and highest value to show of an image, or of the first volume of a series."""
    first = volume.array[..., 0] if volume.array.ndim == 4 else volume.array
    low, high = np.percentile(first[:, ::2, ::2], [0.1, 99.8])
    return min(0.0, float(low)), float(max(high, low + 1e-6))
