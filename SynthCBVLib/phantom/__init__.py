"""Digital patients: simulated exams whose truth is known, to train, test and show with."""

from SynthCBVLib.phantom.patient import DigitalPatient
from SynthCBVLib.phantom.protocol import COMPACT, PAPER, Acquisition, Protocol
from SynthCBVLib.phantom.truth import Truth

__all__ = ["COMPACT", "PAPER", "Acquisition", "DigitalPatient", "Protocol", "Truth"]
