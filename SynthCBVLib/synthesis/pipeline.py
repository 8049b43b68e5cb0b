"""Synthesis: a study and a model in, the rCBV map with its uncertainty out. One way for every card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.distortion import Distortion
from SynthCBVLib.imaging.quality import Finding, check, raise_on_error
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, Study, like
from SynthCBVLib.progress import Progress, part
from SynthCBVLib.synthesis.b_values import bridged
from SynthCBVLib.synthesis.brain_box import infer_brain
from SynthCBVLib.synthesis.calibration import scale_factor
from SynthCBVLib.synthesis.inference import choose_device
from SynthCBVLib.synthesis.model import Model, load_model
from SynthCBVLib.synthesis.novelty import novelty_of
from SynthCBVLib.synthesis.preprocess import Prepared, prepare
from SynthCBVLib.synthesis.provenance import describe


@dataclass(frozen=True)
class Synthesis:
    """A synthetic rCBV map on the reference image's grid.

    Attributes
    ----------
    rcbv : sitk.Image
        float32, in the unit of the model card's output (see ``provenance["unit"]``), 0 outside the brain.
    uncertainty : sitk.Image
        float32, standard deviation of the error to expect (√2 times the network's Laplace scale, times the
        card's `scale_factor` where it was calibrated), in the same unit, 0 outside the brain. The 90 %
        interval of a Laplace distribution is the map -+ 1.63 times this.
    mask : sitk.Image
        uint8 brain mask.
    provenance : Mapping
        JSON-ready: version, model and card, weights' SHA-256, inputs, transforms, device, findings.
    findings : tuple of Finding
        What was noticed; nothing is hidden.
    reference : Modality
        The image whose grid the map has.
    transforms : Mapping
        Points of the reference to points of each other image, as if that were not distorted.
    distortion : Distortion or None
        Displacement of the DWI; None where it was not looked for.
    """

    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: Mapping[str, Any]
    findings: tuple[Finding, ...]
    reference: Modality
    transforms: Mapping[Modality, sitk.Transform]
    distortion: Distortion | None = None


def synthesize(
    study: Study,
    model: Model | str,
    device: str = "auto",
    progress: Progress | None = None,
    transforms: Mapping[Modality, sitk.Transform] | None = None,
    distortion: bool = False,
) -> Synthesis:
    """Synthesise the rCBV map of a study.

    Parameters
    ----------
    study : Study
        Needs the required inputs of the model's card; other inputs of the card are used if present.
    model : Model or str
        As from `load_model`, or its argument.
    device : str
        "auto" (CUDA, else Apple GPU, else CPU), "cpu", "cuda" or "mps".
    progress : Progress, optional
        Told of every stage; may raise `Cancelled`.
    transforms : Mapping, optional
        Known transforms (points of the reference to points of the image); the other images are registered.
    distortion : bool
        Correct the DWI's distortion along its phase direction against T2w (`estimate_distortion`).

    Returns
    -------
    Synthesis
        Maps on the reference image's grid.

    Raises
    ------
    InputError
        If the study cannot serve the model; the message says what is wrong and what to do.
    """
    part(progress, 0.0, 0.05)(0.0, "Checking the study")
    if not isinstance(model, Model):
        model = load_model(model)
    choose_device(device)  # a wrong name is told before the long work
    findings = bridged(check(study, model.card), study, model.card)
    raise_on_error(findings, study)
    prepared = prepare(
        study, model.card, transforms, progress=part(progress, 0.05, 0.6), distortion=distortion
    )
    inside = sitk.GetArrayViewFromImage(prepared.mask)
    predicted = prepared.b_values.predicted if prepared.b_values else ()
    novelty = novelty_of(prepared.channels, prepared.present, inside, model.card, predicted)
    result = infer_brain(
        model.network, prepared.channels, prepared.present, inside, device, part(progress, 0.6, 0.95),
        mirrored=model.card.mirrored,
    )  # fmt: skip
    part(progress, 0.95, 1.0)(0.0, "Bringing the map to the reference grid")
    mask, noticed = _brain(prepared, result.mask)
    location = np.maximum(result.location, 0.0)
    # The standard deviation of a Laplace distribution is √2 times its scale.
    spread = math.sqrt(2.0) * scale_factor(model.card)
    rcbv, uncertainty = (_to_reference(array, prepared, mask) for array in (location, spread * result.scale))
    for image in (rcbv, uncertainty, mask):
        image.CopyInformation(study.scalar(prepared.reference_modality))
    foreign = () if novelty is None else novelty.findings()
    everything = (*findings, *prepared.findings, *foreign, *result.findings, *noticed)
    provenance = describe(study, model, prepared, result, everything, novelty)
    part(progress, 0.95, 1.0)(1.0, "Done")
    return Synthesis(
        rcbv, uncertainty, mask, provenance, everything, prepared.reference_modality, prepared.transforms,
        prepared.distortion,
    )  # fmt: skip


def _brain(prepared: Prepared, network_mask: np.ndarray | None) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Give the brain mask on the reference grid: the network's where it has one, else the image's.

    A network's mask keeps to the neighbourhood of the image's, without thin bridges, in one piece.
    """
    mask, findings = prepared.mask, ()
    if network_mask is not None:
        near = sitk.BinaryDilate(prepared.mask, (2, 2, 1))
        mask = like(network_mask.astype(np.uint8), prepared.grid) & near
        components = sitk.ConnectedComponent(sitk.BinaryMorphologicalOpening(mask, (1, 1, 0)))
        mask = sitk.BinaryFillhole(sitk.RelabelComponent(components, sortByObjectSize=True) == 1)
        if not sitk.GetArrayViewFromImage(mask).any():
            mask = prepared.mask
            findings = (
                Finding(
                    "warning", None, "the network found no brain; the mask of the reference image is used",
                    "Do not trust the map before the input images have been looked at.",
                ),
            )  # fmt: skip
    whole = resample(mask, prepared.reference, interpolation="nearest")
    return sitk.Cast(whole > 0, sitk.sitkUInt8), findings


def _to_reference(array: np.ndarray, prepared: Prepared, mask: sitk.Image) -> sitk.Image:
    image = resample(like(array.astype(np.float32), prepared.grid), prepared.reference)
    return sitk.Mask(sitk.Cast(image, sitk.sitkFloat32), mask)
