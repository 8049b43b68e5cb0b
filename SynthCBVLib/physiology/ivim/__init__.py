"""Intravoxel incoherent motion: signal, Cramer-Rao bound, and fits of S0, D, f and D*."""

from SynthCBVLib.physiology.ivim.bayes import Prior
from SynthCBVLib.physiology.ivim.fitting import Flag, IvimMaps, Method, fit
from SynthCBVLib.physiology.ivim.model import (
    SPLIT_B,
    Bounds,
    CramerRao,
    Scheme,
    cramer_rao,
    signal,
)

__all__ = [
    "SPLIT_B",
    "Bounds",
    "CramerRao",
    "Flag",
    "IvimMaps",
    "Method",
    "Prior",
    "Scheme",
    "cramer_rao",
    "fit",
    "signal",
]
