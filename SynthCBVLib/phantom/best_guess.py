"""How much of a lesion's rCBV its images can tell at best: the bound for any synthesis on digital patients.

A reader is imagined who knows some properties of the tumour's tissue exactly, voxel by voxel and free of
noise, and the population that digital patients come from, and who guesses the blood volume from these. No map
that is made of images can part patients better by their T/WM ratios than such a reader does: a method that
scores above has seen the truth, or had luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom.body import PARENCHYMA
from SynthCBVLib.phantom.contrast import point_spread, white_reference
from SynthCBVLib.phantom.disease import PRIORS, TEXTURE, LesionPrior
from SynthCBVLib.phantom.lesion import Lesion
from SynthCBVLib.phantom.patient import DigitalPatient

#: Properties that the inputs of each workflow depend on, beside CBV itself.
SHOWN: dict[str, tuple[str, ...]] = {
    "IVIM": ("f", "d", "d_star", "t2"),
    "ASL": ("cbf", "d", "t1", "t2"),
}


@dataclass(frozen=True)
class Bound:
    """How near T/WM ratios come to those of real rCBV if some of the truth is known.

    Attributes
    ----------
    known, group : str
        What is known, and of whom.
    r, slope : float
        Pearson's r with the ratios of real rCBV, and slope of the regression on these.
    low, high : float
        95 % interval of r.
    n : int
        Patients.
    """

    known: str
    group: str
    r: float
    slope: float
    low: float
    high: float
    n: int


def share_known(prior: LesionPrior, shown: Sequence[str]) -> float:
    """Give the share of the variance of log CBV that some properties explain together, 0 to 1.

    Given CBV the properties are independent of each other, so with their correlations ρ the share is
    S / (1 + S), S being the sum of ρ² / (1 - ρ²): the normal posterior of log CBV.

    Parameters
    ----------
    prior : LesionPrior
        Of the lesion.
    shown : sequence of str
        Names among `disease.COUPLED`.
    """
    weights = [prior.coupling(name) ** 2 / (1 - prior.coupling(name) ** 2) for name in shown]
    return sum(weights) / (1 + sum(weights))


def guess_volume(lesion: Lesion, prior: LesionPrior, shown: Sequence[str]) -> np.ndarray:
    """Guess what gradient echoes weigh, CBV times calibre, from properties that are known exactly.

    The conditional mean, with the lesion's mean of each property telling of the patient and the rest of the
    voxel, which differ in how much they spread.

    Parameters
    ----------
    lesion : Lesion
        Whose properties are read; its CBV and calibre are not.
    prior : LesionPrior
        What it was drawn from.
    shown : sequence of str
        Properties that are known.

    Returns
    -------
    ndarray
        ml/100 ml, one value for each of `lesion.index`.
    """
    rho = np.array([prior.coupling(name) for name in shown])
    weights = rho / (1 - rho**2) * (1 - share_known(prior, shown))
    patient, voxel = 0.0, np.zeros(lesion.index.size)
    for name, weight in zip(shown, weights, strict=True):
        median, spread = getattr(prior, name)
        score = (np.log(getattr(lesion, name).astype(float)) - np.log(median)) / spread
        patient += weight * score.mean()
        voxel += weight * (score - score.mean()) / TEXTURE.get(name, 1.0)
    (cbv, over_patients), (calibre, calibre_spread) = prior.cbv, prior.calibre
    shared = calibre_spread * prior.coupling("calibre")
    unknown = sum(
        (spread + shared) ** 2 * (1 - share_known(prior, shown)) + calibre_spread**2 - shared**2
        for spread in (over_patients, prior.texture)
    )
    told = (over_patients + shared) * patient + (prior.texture + shared) * voxel
    return cbv * calibre * np.exp(told + unknown / 2)


def guessed_rcbv(patient: DigitalPatient, shown: Sequence[str]) -> np.ndarray:
    """Draw the rCBV map that such a reader would, true but in the tumour, with the blur of DSC.

    Parameters
    ----------
    patient : DigitalPatient
        One with a single lesion.
    shown : sequence of str
        Properties that are known.

    Returns
    -------
    ndarray
        (z, y, x) on the grid of the patient's rCBV map, relative to normal white matter.

    Raises
    ------
    InputError
        If the patient has no lesion.
    """
    prior = PRIORS[patient.idh]
    if prior is None:
        raise InputError("patient", "no lesion", "a patient with a lesion to guess the blood volume of")
    scan = patient._scan(Modality.RCBV, true=True)
    body = scan.body
    assert body.lesion is not None
    guess = guess_volume(body.lesion, prior, shown)
    known = tuple(replace(c, cbv=guess, calibre=1.0) if c.name == "solid" else c for c in body.compartments)
    volume = replace(body, compartments=known).mix(
        lambda c: np.asarray(c.cbv) * np.asarray(c.calibre), PARENCHYMA
    )
    sampled = scan.sampled(volume, patient.protocol.dsc.sharp())
    return point_spread(sampled / np.float32(white_reference(body)), patient.protocol.dsc)


def bounds(patients: Sequence[tuple[str, Mapping[str, float]]]) -> tuple[Bound, ...]:
    """Hold T/WM ratios of the best guesses against those of real rCBV, for each group of patients.

    Parameters
    ----------
    patients : sequence of tuple
        Group of each, and its ratios by name: "rcbv" for real rCBV, "cbv" for the true blood volume, and the
        workflows of `SHOWN`.
    """
    from SynthCBVLib.analysis.agreement import pearson, regression

    found = []
    for known, name in (("CBV itself", "cbv"), *((f"what {name} inputs depend on", name) for name in SHOWN)):
        for group in dict.fromkeys(group for group, _ in patients):
            guess, real = (
                np.array([ratios[which] for own, ratios in patients if own == group])
                for which in (name, "rcbv")
            )
            r = pearson(guess, real)
            slope = regression(real, guess).slope
            found.append(Bound(known, group, r.r, slope, *r.interval, len(real)))
    return tuple(found)
