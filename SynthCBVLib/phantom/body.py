"""The patient as a list of compartments: where each tissue is, and what it is like there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from SynthCBVLib.phantom.anatomy import Anatomy
from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.lesion import Lesion
from SynthCBVLib.phantom.tissue import (
    ARTERY,
    BONE,
    CAPILLARY_T2,
    CAVITY,
    CSF,
    DEEP_GREY,
    FAT,
    GREY,
    NECROSIS,
    OEDEMA,
    SKIN,
    VEIN,
    WHITE,
    Tissue,
)
from SynthCBVLib.phantom.warp import Grid

Values = np.ndarray | float
#: Fractions below this are not simulated.
_LEAST = 1e-3


@dataclass(frozen=True)
class Compartment:
    """One tissue of the patient, held only where it is.

    Attributes
    ----------
    name : str
    index : ndarray
        Flat indices of its voxels on the patient's grid.
    fraction : ndarray
        Its volume fraction there.
    t1, t2, water, d, f, d_star, cbf, transit_time, cbv : ndarray or float
        Properties there, units of `tissue.Tissue`.
    gadolinium : ndarray or float
        Contrast agent after the bolus, mmol/l.
    blood_t2 : float
        T2 of the blood in small vessels, ms.
    calibre : ndarray or float
        Weight of the blood volume in gradient echoes, which see wide vessels better than capillaries.
    """

    name: str
    index: np.ndarray
    fraction: np.ndarray
    t1: Values
    t2: Values
    water: Values
    d: Values
    f: Values
    d_star: Values
    cbf: Values
    transit_time: Values
    cbv: Values
    gadolinium: Values = 0.0
    blood_t2: float = CAPILLARY_T2
    calibre: Values = 1.0


@dataclass(frozen=True)
class Body:
    """All compartments of a patient.

    Attributes
    ----------
    anatomy : Anatomy
    lesion : Lesion or None
    compartments : tuple of Compartment
        Their fractions sum to one in the brain.
    """

    anatomy: Anatomy
    lesion: Lesion | None
    compartments: tuple[Compartment, ...]

    @property
    def grid(self) -> Grid:
        """The grid that the compartments live on."""
        return self.anatomy.grid

    def named(self, name: str) -> Compartment:
        """Give a compartment by its name."""
        return next(c for c in self.compartments if c.name == name)

    def mix(self, signal: Callable[[Compartment], Values], only: tuple[str, ...] | None = None) -> np.ndarray:
        """Add up a quantity over compartments, weighted by fraction; (z, y, x) float32.

        Parameters
        ----------
        signal : callable
            Gives a compartment's quantity, one value a voxel of it or one for all.
        only : tuple of str, optional
            Names of the compartments that take part.
        """
        total = np.zeros(int(np.prod(self.grid.shape)), np.float32)
        for compartment in self.compartments:
            if only is None or compartment.name in only:
                total[compartment.index] += compartment.fraction * np.asarray(signal(compartment), np.float32)
        return total.reshape(self.grid.shape)


#: Compartments inside the brain that perfuse; large vessels are apart.
PARENCHYMA = ("grey", "deep", "white", "csf", "solid", "necrosis", "margin", "cavity")


def assemble(rng: np.random.Generator, anatomy: Anatomy, vessels: tuple[np.ndarray, np.ndarray],
             lesion: Lesion | None) -> Body:  # fmt: skip
    """Put anatomy, vessels and lesion together and give normal tissue its regional variation.

    Blood volume, perfusion fraction, pseudo-diffusion, flow and arrival vary by some 10 to 20 % over the
    brain and over patients; part of the variation is common to them.
    """
    artery, vein = vessels
    free = 1 - artery - vein
    healthy = free
    if lesion:
        taken = lesion.solid + lesion.necrosis + lesion.margin + lesion.cavity
        healthy = free * (1 - np.clip(taken, 0, 1))

    def field(scale: float = 8.0) -> np.ndarray:
        return smooth_field(rng, anatomy.grid.shape, anatomy.grid.spacing, scale, 32.0, 0.4).ravel()

    shared = field()
    modulation = {"cbv": np.exp(np.float32(0.215) * shared + np.float32(rng.normal(0, 0.10)))}
    for name, amplitude, coupling in (
        ("f", 0.13, 0.4), ("d_star", 0.15, 0.4), ("cbf", 0.18, 0.86), ("transit_time", 0.10, -0.3),
    ):  # fmt: skip
        own = np.float32(np.sqrt(1 - coupling**2)) * field() + np.float32(coupling) * shared
        modulation[name] = np.exp(np.float32(amplitude) * own + np.float32(rng.normal(0, 0.07)))
    structure = field(7.0)
    for name, amplitude in (("t1", 0.03), ("t2", 0.05), ("d", 0.05)):
        modulation[name] = np.exp(np.float32(amplitude) * structure + np.float32(rng.normal(0, 0.03)))

    compartments = []

    def add(name: str, tissue: Tissue, fraction: np.ndarray, varied: bool, gadolinium: float = 0.0) -> None:
        flat = fraction.ravel()
        index = np.flatnonzero(flat > _LEAST)
        values: dict[str, Values] = {
            key: getattr(tissue, key)
            for key in ("t1", "t2", "water", "d", "f", "d_star", "cbf", "transit_time", "cbv")
        }
        if varied:
            for key, factor in modulation.items():
                values[key] = np.float32(values[key]) * factor[index]
        compartments.append(Compartment(name, index, flat[index], **values, gadolinium=gadolinium))

    add("grey", GREY, anatomy.grey * (1 - anatomy.deep) * healthy, True, 0.02)
    add("deep", DEEP_GREY, anatomy.grey * anatomy.deep * healthy, True, 0.02)
    add("white", WHITE, anatomy.white * healthy, True, 0.01)
    add("csf", CSF, anatomy.csf * healthy, False)
    if lesion:
        solid = (lesion.solid * free).ravel()[lesion.index]
        compartments.append(
            Compartment(
                "solid", lesion.index, solid, lesion.t1, lesion.t2, lesion.water, lesion.d, lesion.f,
                lesion.d_star, lesion.cbf, lesion.transit_time, lesion.cbv, lesion.gadolinium,
                lesion.blood_t2, lesion.calibre,
            )
        )  # fmt: skip
        add("necrosis", NECROSIS, lesion.necrosis * free, True, 0.03)
        add("cavity", CAVITY, lesion.cavity * free, False)
        add("margin", OEDEMA, lesion.margin * free, True, 0.02)
    outside = free * ~anatomy.brain
    add("fluid", CSF, anatomy.fluid * outside, False)
    add("bone", BONE, anatomy.bone * outside, False)
    add("fat", FAT, anatomy.fat * outside, False)
    add("skin", SKIN, anatomy.skin * outside, False, 0.15)
    add("artery", ARTERY, artery, False, 0.5)
    add("vein", VEIN, vein, False, 0.5)
    return Body(anatomy, lesion, tuple(compartments))
