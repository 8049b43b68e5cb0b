"""Digital patients -> nodes of the scene."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

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
    """

    volumes: Mapping[Modality, PreparedVolume]
    b_values: tuple[float, ...]
    outline: sitk.Image


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
    images = {Modality(key): prepare(volume) for key, volume in volumes.items() if key != OUTLINE}
    return PreparedPatient(images, tuple(more.get("b_values", ())), volumes[OUTLINE].image())


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
                scene=scene,
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
