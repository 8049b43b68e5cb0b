"""Training cases: studies with a real rCBV map, on a model card's grid."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.preprocess import coverage, normalised_rcbv, prepare


@dataclass(frozen=True)
class Case:
    """One training case; all arrays on one grid.

    Attributes
    ----------
    name : str
        Of the subject, for the split and for messages.
    channels : ndarray
        (C, z, y, x) float16, normalised inputs.
    present : ndarray
        (M,) float32, 1 for inputs that the subject has.
    target : ndarray
        (z, y, x) float16, real rCBV in the card's output unit, 0 outside the brain.
    mask : ndarray
        (z, y, x) uint8 brain mask.
    known : ndarray
        (z, y, x) uint8, 1 where the real map was measured: its field of view may be smaller.
    """

    name: str
    channels: np.ndarray
    present: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    known: np.ndarray


_ARRAYS = ("channels", "present", "target", "mask", "known")


def case_of_study(
    study: Study,
    card: ModelCard,
    transforms: Mapping[Modality, sitk.Transform] | None = None,
    brain: sitk.Image | None = None,
) -> Case:
    """Prepare a study with a real rCBV map for training.

    Parameters
    ----------
    study : Study
        With `Modality.RCBV`.
    card : ModelCard
        Whose preprocessing applies.
    transforms : Mapping, optional
        Known transforms (points of the reference to points of the image); the others are registered.
    brain : sitk.Image, optional
        Brain mask on the reference image's grid; found on the reference image by default.

    Raises
    ------
    InputError
        If there is no real rCBV map, or the study does not serve the card.
    """
    if Modality.RCBV not in study.images:
        raise InputError(f"subject {study.subject}", "no real rCBV map", "one, to learn from")
    prepared = prepare(study, card, transforms, brain)
    rcbv = study.scalar(Modality.RCBV)
    if transforms is not None and Modality.RCBV in transforms:
        transform = transforms[Modality.RCBV]
    else:
        transform = register(rcbv, prepared.reference).transform
    known = coverage(rcbv, prepared.grid, transform)
    target = normalised_rcbv(resample(rcbv, prepared.grid, transform), sitk.Mask(prepared.mask, known), card)
    return Case(
        study.subject,
        prepared.channels.astype(np.float16),
        prepared.present,
        sitk.GetArrayFromImage(target).astype(np.float16),
        sitk.GetArrayFromImage(prepared.mask),
        sitk.GetArrayFromImage(known),
    )


def digital_case(seed: int, idh: str, card: ModelCard) -> Case:
    """Make the training case of a digital patient, with its true transforms and brain mask.

    Parameters
    ----------
    seed : int
        Of the patient.
    idh : str
        As for `DigitalPatient`.
    card : ModelCard
        Whose inputs are simulated.
    """
    patient = DigitalPatient(seed, idh=idh)
    reference = card.reference[0]
    modalities = [spec.modality for spec in card.inputs] + [Modality.RCBV]
    transforms = {
        modality: patient.transform(modality, reference) for modality in modalities if modality != reference
    }
    return case_of_study(patient.study(modalities), card, transforms, patient.truth(reference).brain)


def save_case(case: Case, folder: Path) -> None:
    """Write a case as a folder of .npy files, whole or not at all; a case that is there already stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".case-"))
    try:
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", getattr(case, name), allow_pickle=False)
        (temporary / "case.json").write_text(json.dumps({"name": case.name}), encoding="utf-8")
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, folder: Path) -> None:
    """Rename a folder; another process may have put the same case there first."""
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / "case.json").is_file():
            raise


def load_case(folder: Path) -> Case:
    """Read a case written by `save_case`."""
    name = json.loads((folder / "case.json").read_text(encoding="utf-8"))["name"]
    arrays = {key: np.load(folder / f"{key}.npy", allow_pickle=False) for key in _ARRAYS}
    return Case(name=name, **arrays)
