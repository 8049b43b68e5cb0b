"""Dynamic susceptibility contrast: relative CBV with leakage correction, and CBF by deconvolution."""

from SynthCBVLib.physiology.dsc.arterial import deconvolve, find_arterial_input
from SynthCBVLib.physiology.dsc.curves import Bolus, delta_r2star, find_bolus, gamma_variate
from SynthCBVLib.physiology.dsc.protocol import DscProtocol
from SynthCBVLib.physiology.dsc.volume import CbvMaps, PerfusionMaps, cbv_maps, perfusion, relative_cbv

__all__ = [
    "Bolus",
    "CbvMaps",
    "DscProtocol",
    "PerfusionMaps",
    "cbv_maps",
    "deconvolve",
    "delta_r2star",
    "find_arterial_input",
    "find_bolus",
    "gamma_variate",
    "perfusion",
    "relative_cbv",
]
