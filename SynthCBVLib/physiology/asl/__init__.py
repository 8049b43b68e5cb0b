"""Arterial spin labelling: general kinetic model, white-paper CBF, and the fit of several delays."""

from SynthCBVLib.physiology.asl.kinetic import general_kinetic
from SynthCBVLib.physiology.asl.multidelay import MultiDelay, fit_multi_delay
from SynthCBVLib.physiology.asl.protocol import EFFICIENCY, AslProtocol
from SynthCBVLib.physiology.asl.quantification import difference, quantify, smooth_m0

__all__ = [
    "EFFICIENCY",
    "AslProtocol",
    "MultiDelay",
    "difference",
    "fit_multi_delay",
    "general_kinetic",
    "quantify",
    "smooth_m0",
]
