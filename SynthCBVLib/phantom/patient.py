"""A digital patient: images of every modality and the truth behind them, from one seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, join_series, like
from SynthCBVLib.phantom import contrast, simulate
from SynthCBVLib.phantom.acquire import Prescription, draw_pose, draw_prescription
from SynthCBVLib.phantom.anatomy import Anatomy, build_anatomy
from SynthCBVLib.phantom.artefacts import Distortion, distort, draw_off_resonance
from SynthCBVLib.phantom.body import Body, assemble
from SynthCBVLib.phantom.disease import PRIORS
from SynthCBVLib.phantom.draws import balanced_normals
from SynthCBVLib.phantom.lesion import PATIENT_SCORES, draw_lesion
from SynthCBVLib.phantom.protocol import Protocol, find_protocol
from SynthCBVLib.phantom.truth import Truth, make_truth
from SynthCBVLib.phantom.vessels import draw_vessels

#: Every part of a patient draws from a generator of its own, so that none depends on which others are made.
_STREAMS = {
    name: number
    for number, name in enumerate(
        ("anatomy", "vessels", "prescription", "poses", "lesion", "body", Modality.DWI, Modality.T1W,
         Modality.T2W, Modality.FLAIR, Modality.T1C, Modality.CBF, Modality.RCBV, "off_resonance")
    )
}  # fmt: skip
#: Acquisitions with a head pose each; ADC comes with DWI.
_ACQUISITIONS = (
    Modality.DWI, Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.T1C, Modality.CBF, Modality.RCBV,
)  # fmt: skip
_STRUCTURAL = (Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.T1C)


class DigitalPatient:
    """A simulated patient with a brain tumour, what treatment left of one, or none, whose truth is known.

    Images are 32-bit float. The same seed gives the same head and the same exam whatever `idh` is.

    Parameters
    ----------
    seed : int
        Not negative. Everything is the same bit for bit for one seed, `idh` and protocol, whichever images
        are asked for and in whichever order.
    idh : str
        The disease: "wildtype" or "mutant" (glioma by IDH status), "recurrence" or "response" (glioblastoma
        after treatment: tumour again, or what treatment did), "metastasis", or "none" (no lesion).
    protocol : Protocol or str
        "compact" (default), "paper" or a protocol of one's own.

    Raises
    ------
    InputError
        If `seed`, `idh` or `protocol` is not one of these.
    """

    def __init__(self, seed: int, idh: str = "wildtype", protocol: Protocol | str = "compact") -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError("seed", f"{seed!r}", "an integer >= 0")
        if idh not in PRIORS:
            raise InputError("idh", f"{idh!r}", " or ".join(repr(name) for name in PRIORS))
        self.seed, self.idh, self.protocol = int(seed), idh, find_protocol(protocol)

    def _rng(self, stream: str, *more: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_STREAMS[stream], *more)))

    @cached_property
    def _anatomy(self) -> Anatomy:
        return build_anatomy(self._rng("anatomy"), self.protocol.anatomy_spacing)

    @cached_property
    def _prescription(self) -> Prescription:
        return draw_prescription(self._rng("prescription"), self._anatomy)

    @cached_property
    def _poses(self) -> dict[Modality, sitk.VersorRigid3DTransform]:
        rng = self._rng("poses")
        return {modality: draw_pose(rng, self._prescription.centre) for modality in _ACQUISITIONS}

    @cached_property
    def _body(self) -> Body:
        anatomy, prior = self._anatomy, PRIORS[self.idh]
        lesion = None
        if prior is not None:
            p = self._prescription
            kind = list(PRIORS).index(self.idh)
            scores = balanced_normals(self.seed, kind, PATIENT_SCORES)
            rng = self._rng("lesion", kind)
            lesion = draw_lesion(rng, anatomy, prior, p.direction[:, 2], p.top, scores)
        vessels = draw_vessels(self._rng("vessels"), anatomy)
        return assemble(self._rng("body"), anatomy, vessels, lesion)

    @cached_property
    def _distortions(self) -> dict[Modality, Distortion]:
        if not self.protocol.off_resonance:
            return {}
        field = draw_off_resonance(self._rng("off_resonance"), self.protocol.off_resonance)
        return {
            m: distort(field, self.protocol.acquisition(m), self._prescription, self._poses[m])
            for m in (Modality.DWI, Modality.RCBV)
        }

    def _scan(self, modality: Modality, true: bool = False) -> simulate.Scan:
        made = _acquired(modality)
        distortion = None if true else self._distortions.get(made)
        return simulate.Scan(self._body, self.protocol, self._prescription, self._poses[made], distortion)

    def grid(self, modality: Modality) -> sitk.Image:
        """Give an empty image with the geometry of a modality's."""
        return self._prescription.grid_image(self.protocol.acquisition(Modality(modality)))

    def _image(self, array: np.ndarray, modality: Modality) -> sitk.Image:
        return like(array.astype(np.float32, copy=False), self.grid(modality))

    @cached_property
    def _series(self) -> np.ndarray:
        return simulate.diffusion(self._rng(Modality.DWI), self._scan(Modality.DWI))

    @cached_property
    def _asl(self) -> AslSeries:
        p = self.protocol
        arrays = simulate.labelling(self._rng(Modality.CBF), self._scan(Modality.CBF))
        control, label, m0 = (self._image(array, Modality.CBF) for array in arrays)
        return AslSeries(control, label, m0, "pcasl", p.label_duration, p.post_label_delay)

    def asl(self) -> AslSeries:
        """Give arterial spin labelling before quantification: mean control, mean label and M0."""
        return self._asl

    def study(self, modalities: Iterable[Modality] | None = None) -> Study:
        """Simulate the images of the patient.

        Parameters
        ----------
        modalities : iterable of Modality, optional
            What to simulate; all by default. CBF (ml/100 g/min) is quantified by the white-paper formula from
            `asl`; ADC (mm²/s) is fitted to the simulated DWI; rCBV is a scanner's, in arbitrary units.

        Returns
        -------
        Study
            Each image on its own grid, with the head in its own pose.
        """
        wanted = list(Modality) if modalities is None else [Modality(m) for m in modalities]
        return Study(f"{self.seed:05d}", {modality: self._simulate(modality) for modality in wanted})

    def _simulate(self, modality: Modality) -> sitk.Image | DiffusionSeries:
        if modality is Modality.DWI:
            volumes = [self._image(volume, modality) for volume in self._series]
            return DiffusionSeries(join_series(volumes), self.protocol.b_values)
        if modality is Modality.ADC:
            return self._image(simulate.apparent_diffusion(self._series, self.protocol.b_values), modality)
        if modality is Modality.CBF:
            return self._image(self._quantified(), modality)
        if modality in _STRUCTURAL:
            array = simulate.structural(self._rng(modality), self._scan(modality), modality)
        else:
            array = contrast.scanner_rcbv(self._rng(modality), self._scan(modality))
        return self._image(array, modality)

    def _quantified(self) -> np.ndarray:
        from SynthCBVLib.physiology import asl

        control, label, m0 = (
            sitk.GetArrayFromImage(i) for i in (self._asl.control, self._asl.label, self._asl.m0)
        )  # fmt: skip
        timing = asl.AslProtocol(
            labelling="pcasl",
            label_duration=self.protocol.label_duration,
            post_label_delay=self.protocol.post_label_delay,
        )
        # Air has no M0 to divide by: its quotient of noise is not flow.
        head = m0 > 0.2 * np.percentile(m0, 99)
        flow = asl.quantify(control - label, np.where(head, m0, 0), timing, check=False)
        return np.where(head & np.isfinite(flow), flow, 0).astype(np.float32)

    def transforms(self) -> Mapping[Modality, sitk.Transform]:
        """Give the head's pose in each image before distortion: patient's points to image's (LPS, mm)."""
        return MappingProxyType({m: sitk.VersorRigid3DTransform(self._poses[_acquired(m)]) for m in Modality})

    def transform(self, moving: Modality, fixed: Modality) -> sitk.Transform:
        """Give the true registration: maps points of `fixed`'s image to points of `moving`'s.

        Rigid, but for the distortion of echo-planar images where the protocol has one.

        ``sitk.Resample(moving_image, fixed_image, transform)`` lays the moving image on the fixed one.
        """
        poses = self.transforms()
        both = sitk.CompositeTransform(3)
        # A composite applies the transform that was added last first.
        for modality, inverse in ((Modality(moving), False), (Modality(fixed), True)):
            pose = poses[modality].GetInverse() if inverse else poses[modality]
            steps = [pose]
            distortion = self._distortions.get(_acquired(modality))
            if distortion is not None:
                warp = distortion.transform(self.grid(modality), inverse)
                steps = [pose, warp] if inverse else [warp, pose]
            for step in steps:
                both.AddTransform(step)
        return both

    def truth(self, reference: Modality = Modality.T2W) -> Truth:
        """Give the truth on the grid and in the pose of `reference`'s image, not distorted as that may be."""
        reference = Modality(reference)
        return make_truth(self._scan(reference, true=True), self.protocol.acquisition(reference))


def _acquired(modality: Modality) -> Modality:
    return Modality.DWI if modality is Modality.ADC else modality
