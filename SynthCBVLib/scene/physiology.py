"""IVIM, ASL and DSC maps from nodes of the scene, as new nodes of the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.study import Modality, n_volumes
from SynthCBVLib.physiology import dsc, ivim, maps
from SynthCBVLib.progress import Progress
from SynthCBVLib.scene.application import current_scene
from SynthCBVLib.scene.colours import perfusion_colours
from SynthCBVLib.scene.series import AslNodes, diffusion_series, series_image, study_from_nodes
from SynthCBVLib.scene.volumes import image_to_volume, volume_to_image

if TYPE_CHECKING:
    import slicer

    from SynthCBVLib.scene.series import SeriesNodes

#: Shown window of each map, in its unit; None leaves it to Slicer.
_WINDOWS: dict[str, tuple[float, float] | None] = {
    "S0": None,
    "D": (0.0, 3e-3),
    "f": (0.0, 0.3),
    "D*": (0.0, 0.05),
    "f SD": (0.0, 0.1),
    "CBF": (0.0, 100.0),
    "rCBV": None,
}


def fit_ivim(
    nodes: SeriesNodes,
    b_values: Sequence[float] | None = None,
    mask: slicer.vtkMRMLLabelMapVolumeNode | None = None,
    method: ivim.Method = "bayes",
    name: str = "IVIM",
    progress: Progress | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
    """Fit the IVIM model to a diffusion series.

    Parameters
    ----------
    nodes : node or sequence of nodes
        As for `diffusion_series`.
    b_values : sequence of float, optional
        s/mm², one a volume; by default those of the node.
    mask : vtkMRMLLabelMapVolumeNode, optional
        Where to fit, on the series' grid.
    method : {"bayes", "segmented", "nlls"}
        See `SynthCBVLib.physiology.ivim.fit`.
    name : str
        Stands before the names of the new nodes.
    progress : Progress, optional
        May raise `Cancelled`.
    scene : vtkMRMLScene, optional
        The current one by default.

    Returns
    -------
    dict
        New volume nodes "S0", "D", "f", "D*" (mm²/s) and "f SD".
    """
    series = diffusion_series(nodes, b_values)
    found = maps.ivim_maps(series, _mask(mask), method, progress)
    images = {"S0": found.s0, "D": found.d, "f": found.f, "D*": found.d_star, "f SD": found.f_sd}
    return _add(images, name, scene)


def quantify_asl(
    asl: AslNodes, m0_smoothing: float = 0.0, name: str = "ASL", scene: slicer.vtkMRMLScene | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Quantify CBF (ml/100 g/min) from control, label and M0 by the 2015 white paper.

    Parameters
    ----------
    asl : AslNodes
        With label duration and delay.
    m0_smoothing : float
        Full width at half maximum of the Gaussian that M0 is smoothed with, mm.
    name : str
        Stands before the name of the new node.
    scene : vtkMRMLScene, optional
        The current one by default.

    Raises
    ------
    InputError
        If the timing is not known or the images cannot be perfusion.
    """
    series = study_from_nodes("01", {}, asl=asl).images[Modality.CBF]
    return _add({"CBF": maps.cbf_map(series, m0_smoothing=m0_smoothing)}, name, scene)["CBF"]


def quantify_dsc(
    nodes: SeriesNodes,
    repetition_time: float,
    echo_time: float,
    mask: slicer.vtkMRMLLabelMapVolumeNode | None = None,
    white_matter: slicer.vtkMRMLLabelMapVolumeNode | None = None,
    name: str = "DSC",
    progress: Progress | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Compute the leakage-corrected relative CBV map of a contrast-bolus series.

    Parameters
    ----------
    nodes : node or sequence of nodes
        Volumes over time: multi-component volume, volume sequence or a list of volumes.
    repetition_time, echo_time : float
        s; time between volumes, and TE.
    mask, white_matter : vtkMRMLLabelMapVolumeNode, optional
        Brain, and normal-appearing white matter whose mean becomes 1, on the series' grid.
    name : str
        Stands before the name of the new node.
    progress : Progress, optional
        May raise `Cancelled`.
    scene : vtkMRMLScene, optional
        The current one by default.
    """
    image, _ = series_image(nodes, "one volume a time point")
    times = np.arange(n_volumes(image)) * repetition_time
    protocol = dsc.DscProtocol(echo_time=echo_time)
    found = maps.cbv_maps(image, times, protocol, _mask(mask), _mask(white_matter), progress)
    return _add({"rCBV": found.rcbv}, name, scene)["rCBV"]


def _mask(node: slicer.vtkMRMLLabelMapVolumeNode | None) -> sitk.Image | None:
    return None if node is None else volume_to_image(node)


def _add(
    images: Mapping[str, sitk.Image], name: str, scene: slicer.vtkMRMLScene | None
) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
    scene = scene or current_scene()
    colours = perfusion_colours(scene)
    nodes = {}
    for kind, image in images.items():
        shown = None if kind == "S0" else colours
        nodes[kind] = image_to_volume(
            image, f"{name} {kind}", colours=shown, window=_WINDOWS[kind], scene=scene
        )
    return nodes
