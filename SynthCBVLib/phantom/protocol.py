"""What is acquired: grids and sequence parameters of each exam."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

#: Repeats of each b-value (s/mm²) of the IVIM series.
B_VALUES: tuple[float, ...] = tuple(
    float(b)
    for b, repeats in zip(
        (0, 50, 100, 150, 200, 300, 400, 600, 800, 1000), (2, 2, 2, 2, 2, 2, 2, 2, 3, 3), strict=True
    )
    for _ in range(repeats)
)


@dataclass(frozen=True)
class Acquisition:
    """Grid of one acquisition.

    Attributes
    ----------
    matrix : int
        Pixels in-plane, both ways.
    pixel : float
        Pixel size, mm.
    slices : int
        Number of slices.
    thickness, distance : float
        Slice thickness and distance of slice centres, mm.
    blur : float
        In-plane point spread, full width at half maximum, mm (0: none beyond the pixel).
    echo_train : float
        Length of the echo-planar echo train, ms: offset (Hz) × length gives the shift in pixels; 0 for
        sequences that do not distort.
    """

    matrix: int
    pixel: float
    slices: int = 20
    thickness: float = 5.0
    distance: float = 6.0
    blur: float = 0.0
    echo_train: float = 0.0

    @property
    def length(self) -> float:
        """Coverage along the slice normal, mm."""
        return self.slices * self.distance

    def sharp(self) -> Acquisition:
        """Give the same grid without blur."""
        return replace(self, blur=0.0)


@dataclass(frozen=True)
class Protocol:
    """One exam: the grids of all modalities and the timing of their sequences.

    Attributes
    ----------
    t2w, dwi, dsc, t1w, t1c, flair, asl : Acquisition
        Grids; ADC is on the grid of `dwi`, CBF on that of `asl`, rCBV on that of `dsc`.
    b_values : tuple of float
        Diffusion weighting of each volume of the IVIM series, repeats included, s/mm².
    *_te, *_tr, *_ti : float
        Echo, repetition and inversion times, ms.
    label_duration, post_label_delay : float
        Pseudo-continuous arterial spin labelling, s.
    dsc_te, dsc_tr, dsc_phases, dsc_injection : float or int
        Bolus series: echo time (ms), repetition time (s), number of images, and the image (from 1) at
        which the bolus is injected.
    off_resonance : float
        Strongest field offset at the sinuses, Hz: DWI and DSC are distorted along their phase direction.
        About 100 is usual at 3 T; 0 leaves the distortion out.
    ghost : float
        Level of the half-field ghost of DWI and DSC relative to the image; 0 leaves it out.
    motion : float
        Motion between the volumes of DWI and DSC: standard deviation in mm (and half of it in degrees).
    anatomy_spacing : float
        Voxel of the patient that is sampled, mm.
    """

    name: str
    t2w: Acquisition
    dwi: Acquisition
    dsc: Acquisition
    t1w: Acquisition
    t1c: Acquisition
    flair: Acquisition
    asl: Acquisition
    b_values: tuple[float, ...] = field(default=B_VALUES, repr=False)
    dwi_te: float = 68.0
    dwi_tr: float = 4500.0
    t2w_te: float = 125.0
    t2w_tr: float = 6000.0
    t1w_ti: float = 950.0
    t1w_tr: float = 2000.0
    flair_te: float = 120.0
    flair_tr: float = 9000.0
    label_duration: float = 1.8
    post_label_delay: float = 1.8
    asl_tr: float = 5000.0
    dsc_te: float = 30.0
    dsc_tr: float = 1.6
    dsc_phases: int = 60
    dsc_injection: int = 4
    off_resonance: float = 0.0
    ghost: float = 0.0
    motion: float = 0.0
    anatomy_spacing: float = 1.5

    def acquisition(self, modality: Modality) -> Acquisition:
        """Give the grid that a modality's image has."""
        grids = {
            Modality.DWI: self.dwi,
            Modality.ADC: self.dwi,
            Modality.T1W: self.t1w,
            Modality.T2W: self.t2w,
            Modality.FLAIR: self.flair,
            Modality.T1C: self.t1c,
            Modality.CBF: self.asl,
            Modality.RCBV: self.dsc,
        }
        return grids[modality]


PAPER = Protocol(
    name="paper",
    t2w=Acquisition(384, 0.573),
    dwi=Acquisition(304, 0.724, blur=1.2, echo_train=54.0),
    dsc=Acquisition(128, 1.72, blur=2.8, echo_train=63.0),
    t1w=Acquisition(256, 0.86, 48, 3.0, 3.0),
    t1c=Acquisition(256, 0.86, 48, 3.0, 3.0),
    flair=Acquisition(256, 0.86),
    asl=Acquisition(64, 3.44, 32, 4.0, 4.0, blur=4.5),
)
COMPACT = replace(
    PAPER,
    name="compact",
    t2w=Acquisition(192, 1.146),
    dwi=Acquisition(152, 1.447, blur=1.6, echo_train=27.0),
    t1w=Acquisition(128, 1.72, 48, 3.0, 3.0),
    t1c=Acquisition(128, 1.72, 48, 3.0, 3.0),
    flair=Acquisition(192, 1.146),
)
PROTOCOLS = {protocol.name: protocol for protocol in (PAPER, COMPACT)}


def find_protocol(protocol: Protocol | str) -> Protocol:
    """Give a protocol by its name, or the protocol itself.

    Raises
    ------
    InputError
        If there is no protocol of that name.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise InputError("protocol", f"{protocol!r}", " or ".join(repr(name) for name in PROTOCOLS))
    return PROTOCOLS[protocol]
