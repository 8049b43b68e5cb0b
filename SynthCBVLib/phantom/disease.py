"""The diseases that a digital patient may have: what their lesions are drawn from.

Sources as in `tissue`. Perfusion fractions are those of the water itself; what a fit shows at an echo time of
68 ms is diluted by the long T2 of tumours.
"""

from __future__ import annotations

from dataclasses import dataclass

from SynthCBVLib.phantom.tissue import CAPILLARY_T2

#: Median and standard deviation of the logarithm.
LogNormal = tuple[float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class LesionPrior:
    """Distributions that a lesion's shape and its solid tissue are drawn from.

    Medians with standard deviations of the logarithm (over patients; the texture inside adds its own); `d`,
    `d_star` mm²/s, times ms, `cbf` ml/100 g/min, `transit_time` s, `cbv` ml/100 ml, lengths mm.

    Attributes
    ----------
    calibre : LogNormal
        Weight of its blood volume in gradient echoes: wide tumour vessels count for more than capillaries.
    texture : float
        Standard deviation of log CBV from voxel to voxel inside the solid part: its hot spots.
    enhancement : Range
        Gadolinium in the tissue after the bolus, mmol/l: lowest and highest mean.
    necrosis, necrosis_rate : Range and float
        Radius of the necrotic centre relative to the solid part, and share of patients with one.
    oedema : Range
        Reach of oedema beyond the solid part.
    radius : Range
        Of the solid part.
    count : tuple of int
        Fewest and most lesions.
    roughness : float
        Irregularity of the surface, 1 for a glioblastoma.
    infiltration : float
        Share of tumour cells' tissue in the oedema next to the solid part; falls off outwards.
    cavity : Range
        Radius of the resection cavity beside the lesion relative to the lesion's; (0, 0) for none.
    late_rate, late : float and Range
        Share of patients whose blood arrives late, and the lesion's mean arrival time then, s.
    junction : bool
        Whether it sits at the border of grey and white matter rather than deep.
    blood_t2 : float
        T2 of the blood in it, ms: hypoxic tumours take more oxygen from theirs.
    f_coupling : float
        Correlation of log f with log CBV; those of the other properties are the same in all diseases.
    """

    cbv: LogNormal
    texture: float
    f: LogNormal
    d: LogNormal
    d_star: LogNormal
    t1: LogNormal
    t2: LogNormal
    cbf: LogNormal
    transit_time: LogNormal
    water: float
    enhancement: Range
    necrosis: Range
    necrosis_rate: float
    oedema: Range
    calibre: LogNormal = (1.0, 0.08)
    radius: Range = (12.0, 28.0)
    count: tuple[int, int] = (1, 1)
    roughness: float = 1.0
    infiltration: float = 0.0
    cavity: Range = (0.0, 0.0)
    late_rate: float = 0.0
    late: Range = (2.0, 2.8)
    junction: bool = False
    blood_t2: float = CAPILLARY_T2
    f_coupling: float = 0.25

    def coupling(self, name: str) -> float:
        """Give the correlation of a property's logarithm with that of CBV."""
        return self.f_coupling if name == "f" else COUPLING[name]


WILDTYPE = LesionPrior(
    cbv=(10.5, 0.28), texture=0.27, f=(0.094, 0.48), d=(1.02e-3, 0.13), d_star=(18e-3, 0.25),
    t1=(1620, 0.08), t2=(195, 0.18), cbf=(105, 0.30), transit_time=(1.4, 0.22), water=0.82,
    enhancement=(0.25, 0.7), necrosis=(0.35, 0.65), necrosis_rate=0.85, oedema=(5.0, 16.0),
    calibre=(1.12, 0.15), infiltration=0.35, f_coupling=0.32, blood_t2=52.0,
)  # fmt: skip
MUTANT = LesionPrior(
    cbv=(5.2, 0.37), texture=0.25, f=(0.0855, 0.48), d=(1.38e-3, 0.13), d_star=(8.5e-3, 0.22),
    t1=(1400, 0.10), t2=(240, 0.25), cbf=(45, 0.28), transit_time=(1.3, 0.18), water=0.85,
    enhancement=(0.0, 0.08), necrosis=(0.2, 0.35), necrosis_rate=0.15, oedema=(2.0, 9.0),
    calibre=(1.0, 0.12), infiltration=0.45, f_coupling=0.27,
)  # fmt: skip
#: Glioblastoma that grows again beside its resection cavity; in some, blood arrives too late for one delay.
RECURRENCE = LesionPrior(
    cbv=(8.6, 0.26), texture=0.25, f=(0.100, 0.26), d=(1.05e-3, 0.13), d_star=(17e-3, 0.25),
    t1=(1620, 0.08), t2=(165, 0.20), cbf=(85, 0.25), transit_time=(1.4, 0.18), water=0.82,
    enhancement=(0.3, 0.7), necrosis=(0.25, 0.5), necrosis_rate=0.6, oedema=(6.0, 16.0),
    calibre=(1.10, 0.15), radius=(9.0, 19.0), infiltration=0.3, cavity=(0.6, 1.1),
    late_rate=0.4, blood_t2=52.0,
)  # fmt: skip
#: Treatment response (radiation necrosis): enhances as much, holds little blood.
RESPONSE = LesionPrior(
    cbv=(2.7, 0.30), texture=0.22, f=(0.045, 0.28), d=(1.30e-3, 0.15), d_star=(9e-3, 0.25),
    t1=(1650, 0.09), t2=(180, 0.22), cbf=(24, 0.28), transit_time=(1.4, 0.18), water=0.84,
    enhancement=(0.3, 0.7), necrosis=(0.3, 0.6), necrosis_rate=0.75, oedema=(6.0, 18.0),
    radius=(9.0, 19.0), roughness=1.3, cavity=(0.6, 1.1),
)  # fmt: skip
METASTASIS = LesionPrior(
    cbv=(7.6, 0.32), texture=0.24, f=(0.095, 0.28), d=(1.05e-3, 0.15), d_star=(16e-3, 0.25),
    t1=(1580, 0.09), t2=(135, 0.20), cbf=(75, 0.32), transit_time=(1.3, 0.20), water=0.81,
    enhancement=(0.35, 0.8), necrosis=(0.3, 0.65), necrosis_rate=0.6, oedema=(8.0, 22.0),
    calibre=(1.10, 0.12), radius=(6.0, 15.0), count=(1, 4), roughness=0.35, junction=True,
)  # fmt: skip

#: Lesion of each kind of patient; "none" has no lesion. A kind keeps its place: seeds depend on it.
PRIORS: dict[str, LesionPrior | None] = {
    "wildtype": WILDTYPE,
    "mutant": MUTANT,
    "none": None,
    "recurrence": RECURRENCE,
    "response": RESPONSE,
    "metastasis": METASTASIS,
}

#: Correlation of each property's logarithm with that of CBV inside solid tumour, over patients and over
#: voxels. Each knows a part, none much; all together about .8 (synthetic against real T/WM in vivo:
#: r = .75-.89). That of f is the prior's own: little, and less in mutants (in vivo T/WM of f and rCBV:
#: r = .32 in wildtypes, .17 in mutants).
COUPLING = {
    "d": -0.55,
    "d_star": 0.55,
    "t1": -0.35,
    "t2": -0.60,
    "cbf": 0.65,
    "transit_time": -0.30,
    "calibre": 0.30,
}
#: How much of the patients' spread a property has from voxel to voxel: relaxation and diffusion vary less
#: inside a tumour than perfusion does.
TEXTURE = {"f": 0.4, "t1": 0.3, "t2": 0.6, "d": 0.7, "transit_time": 0.7, "calibre": 1.0}
#: All properties that are drawn beside CBV. One keeps its place: seeds depend on it.
COUPLED = ("f", *COUPLING)
#: Values that a lesion's tissue cannot leave.
LIMITS = {
    "cbv": (0.6, 24), "f": (0.005, 0.35), "d": (0.5e-3, 2.4e-3), "d_star": (4e-3, 60e-3), "t1": (900, 2600),
    "t2": (80, 700), "cbf": (5, 350), "transit_time": (0.5, 3.4), "calibre": (0.7, 2.0),
}  # fmt: skip
