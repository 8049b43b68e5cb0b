"""The arterial spin labelling protocol: everything besides the images that CBF depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from SynthCBVLib.errors import InputError

#: Labelling efficiency, and label or bolus duration (s), of each technique (white paper, Tables 1 and 3).
EFFICIENCY = {"pcasl": 0.85, "pasl": 0.98}
LABEL_DURATION = {"pcasl": 1.8, "pasl": 0.8}


@dataclass(frozen=True)
class AslProtocol:
    """Parameters of the labelling and of the quantification; times in seconds.

    Defaults follow the ISMRM/EU white paper (Alsop et al., Magn Reson Med 2015;73:102) at 3 T.

    Parameters
    ----------
    labelling : {"pcasl", "pasl"}
        Pseudo-continuous or pulsed labelling.
    label_duration : float, optional
        Label duration of pCASL (1.8 by default), or bolus duration TI1 of PASL (.8 by default), s.
    post_label_delay : float
        Delay after the label of pCASL, or inversion time TI of PASL, s.
    labelling_efficiency : float, optional
        0 to 1; .85 for pCASL and .98 for PASL by default.
    blood_t1 : float
        T1 of arterial blood, s.
    partition_coefficient : float
        Brain to blood partition coefficient of water, ml/g.
    background_suppression_pulses : int
        Number of inversion pulses between labelling and readout.
    background_suppression_efficiency : float
        What each of them leaves of the label, 0 to 1.
    m0_scale : float
        Factor that brings M0 to the scale of the control and label images.
    m0_repetition_time : float, optional
        Repetition time of the M0 image, s, if it is too short for full recovery (below 5 s).
    tissue_t1 : float
        T1 by which the M0 image recovers, s (grey matter at 3 T).
    """

    labelling: str = "pcasl"
    label_duration: float | None = None
    post_label_delay: float = 1.8
    labelling_efficiency: float | None = None
    blood_t1: float = 1.65
    partition_coefficient: float = 0.9
    background_suppression_pulses: int = 0
    background_suppression_efficiency: float = 0.95
    m0_scale: float = 1.0
    m0_repetition_time: float | None = None
    tissue_t1: float = 1.3

    def __post_init__(self) -> None:
        labelling = str(self.labelling).lower().replace("_", "").replace("-", "")
        if labelling not in EFFICIENCY:
            raise InputError(
                "ASL labelling", f"'{self.labelling}'", "'pcasl' or 'pasl'",
                "Give continuous labelling as pcasl with its own efficiency." if labelling == "casl" else "",
            )  # fmt: skip
        object.__setattr__(self, "labelling", labelling)
        if self.labelling_efficiency is None:
            object.__setattr__(self, "labelling_efficiency", EFFICIENCY[labelling])
        if self.label_duration is None:
            object.__setattr__(self, "label_duration", LABEL_DURATION[labelling])
        times = {
            "label duration": self.label_duration,
            "post-labelling delay": self.post_label_delay,
            "T1 of blood": self.blood_t1,
            "T1 of tissue": self.tissue_t1,
        }
        if self.m0_repetition_time is not None:
            times["M0 repetition time"] = self.m0_repetition_time
        for name, value in times.items():
            _check_time(name, value, zero_allowed=name == "post-labelling delay")
        if labelling == "pasl" and self.post_label_delay < self.label_duration:
            raise InputError(
                "PASL inversion time", f"{self.post_label_delay:g} s", f"at least the bolus duration "
                f"TI1 of {self.label_duration:g} s", "TI is counted from the labelling pulse.",
            )  # fmt: skip
        for name, value in (
            ("labelling efficiency", self.labelling_efficiency),
            ("background suppression efficiency", self.background_suppression_efficiency),
        ):
            if not 0 < value <= 1:
                raise InputError(f"ASL {name}", f"{value:g}", "a fraction above 0 and at most 1")
        for name, value in (
            ("partition coefficient", self.partition_coefficient),
            ("M0 scale", self.m0_scale),
        ):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"ASL {name}", f"{value:g}", "a positive number")
        if self.partition_coefficient > 2:
            raise InputError("ASL partition coefficient", f"{self.partition_coefficient:g}", "about .9 ml/g")
        if self.background_suppression_pulses < 0:
            raise InputError(
                "background suppression pulses",
                f"{self.background_suppression_pulses}",
                "their number, 0 or more",
            )

    @property
    def efficiency(self) -> float:
        """Labelling efficiency after the losses to background suppression."""
        lost = self.background_suppression_efficiency**self.background_suppression_pulses
        return self.labelling_efficiency * lost

    @property
    def m0_factor(self) -> float:
        """Factor from the M0 image to fully recovered magnetisation on the scale of the ASL images."""
        if self.m0_repetition_time is None:
            return self.m0_scale
        return self.m0_scale / (1 - math.exp(-self.m0_repetition_time / self.tissue_t1))


def _check_time(name: str, value: float, zero_allowed: bool) -> None:
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero_allowed):
        raise InputError(f"ASL {name}", f"{value:g} s", "a positive time in seconds")
    if value > 30:
        raise InputError(
            f"ASL {name}", f"{value:g} s", "a time in seconds",
            f"If {value:g} is in milliseconds, give {value / 1000:g}.",
        )  # fmt: skip
