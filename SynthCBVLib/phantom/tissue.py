"""Physical properties of the digital patients' tissues at 3 T.

Sources. Relaxation of brain and blood, CBF and arterial transit time: PMC5346350 Table 1; white-matter T1:
arXiv 2409.05318; perfusion fraction: PMC6886883; grey-matter D and D*: Vieni 2020; water content: Front
Neurol 2019:01333; CBV: PMC5801598; T2 of gliomas by IDH status: 10.1186/s12883-019-1590-1; ADC of gliomas:
PubMed 29572636; f and D* of gliomas: PMC4936699; tumour CBF: PLoS One 0099616; Ktrans: AJNR 37:80. Values of
oedema and necrosis, skull and scalp are usual ones of the general literature.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """What a tissue is made of.

    Attributes
    ----------
    t1, t2 : float
        Relaxation times of the tissue's water, ms.
    water : float
        Water by volume, 0 to 1 (mobile protons for fat).
    d, d_star : float
        Diffusion and pseudo-diffusion coefficient, mm²/s.
    f : float
        Share of the water that moves with the blood (perfusion fraction), 0 to 1.
    cbf : float
        Blood flow, ml/100 g/min.
    transit_time : float
        Arterial transit time, s.
    cbv : float
        Blood volume, ml/100 ml.
    """

    t1: float
    t2: float
    water: float
    d: float = 0.0
    f: float = 0.0
    d_star: float = 0.0
    cbf: float = 0.0
    transit_time: float = 1.0
    cbv: float = 0.0


GREY = Tissue(
    t1=1270, t2=90, water=0.837, d=0.83e-3, f=0.066, d_star=11e-3, cbf=60, transit_time=0.9, cbv=5.5
)
WHITE = Tissue(
    t1=790, t2=68, water=0.691, d=0.70e-3, f=0.033, d_star=10e-3, cbf=20, transit_time=1.2, cbv=2.3
)
#: Thalamus and basal ganglia: iron shortens their T2, and blood volume lies between grey and white matter.
DEEP_GREY = Tissue(
    t1=1150, t2=75, water=0.80, d=0.78e-3, f=0.055, d_star=11e-3, cbf=50, transit_time=0.9, cbv=4.4
)  # fmt: skip
CSF = Tissue(t1=4300, t2=1700, water=1.0, d=3.0e-3)
OEDEMA = Tissue(
    t1=1260, t2=150, water=0.78, d=1.5e-3, f=0.025, d_star=8e-3, cbf=18, transit_time=1.6, cbv=1.6
)  # fmt: skip
NECROSIS = Tissue(
    t1=2200, t2=300, water=0.92, d=2.3e-3, f=0.005, d_star=8e-3, cbf=5, transit_time=2.0, cbv=0.4
)  # fmt: skip
#: Fluid that fills the hole an operation left.
CAVITY = Tissue(t1=3200, t2=900, water=0.98, d=2.7e-3)
#: Blood that flows in vessels wider than a voxel's texture; all diffusion weightings but b = 0 void it.
ARTERY = Tissue(t1=1664, t2=109, water=0.86, d=1.75e-3, f=1.0, d_star=0.1, cbv=100)
VEIN = Tissue(t1=1584, t2=29, water=0.86, d=1.75e-3, f=1.0, d_star=0.1, cbv=100)
BONE = Tissue(t1=400, t2=10, water=0.08, d=0.3e-3)
FAT = Tissue(t1=380, t2=75, water=0.80, d=0.05e-3)
SKIN = Tissue(t1=1100, t2=40, water=0.70, d=1.2e-3)

#: T2 of blood in capillaries, ms: between arterial (109) and venous (29) oxygenation.
CAPILLARY_T2 = 60.0
#: Water of blood by volume, .95 - .22 × haematocrit .42.
BLOOD_WATER = 0.86
#: T1 of arterial blood, ms.
BLOOD_T1 = 1664.0
#: Share of fat's signal that fat suppression leaves in echo-planar images.
FAT_LEFT = 0.12
