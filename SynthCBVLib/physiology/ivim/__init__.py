"""Intravoxel incoherent motion: signal, Cramer-Rao bound, and fits of S0, D, f and D*."""

from SynthCBVLib.physiology.ivim.bayes import Prior
from SynthCBVLib.physiology.ivim.fitting import Flag, IvimMaps, fit
from SynthCBVLib.physiology.ivim.model import (
    D_BOUNDS,
    D_STAR_BOUNDS,
    F_BOUNDS,
    SPLIT_B,
    CramerRao,
    Scheme,
    cramer_rao,
    signal,
)

__all__ = [
    "D_BOUNDS",
    "D_STAR_BOUNDS",
    "F_BOUNDS",
    "SPLIT_B",
    "CramerRao",
    "Flag",
    "IvimMaps",
    "Prior",
    "Scheme",
    "cramer_rao",
    "fit",
    "signal",
]
