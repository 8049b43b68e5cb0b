"""What is true of a digital patient, on the grid and in the pose of one of its images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.study import like
from SynthCBVLib.phantom.body import PARENCHYMA, Compartment
from SynthCBVLib.phantom.contrast import white_reference
from SynthCBVLib.phantom.protocol import Acquisition
from SynthCBVLib.phantom.regions import place_regions
from SynthCBVLib.phantom.simulate import Scan

#: Values of the lesion's label image.
LESION_LABELS = {"solid": 1, "necrosis": 2, "margin": 3, "cavity": 4}


@dataclass(frozen=True)
class Truth:
    """Noise-free truth; all images share one grid (32-bit float maps, 8-bit masks and labels).

    Attributes
    ----------
    f, d, d_star : sitk.Image
        Share of the water that moves with the blood in small vessels; diffusion and pseudo-diffusion, mm²/s.
    cbv : sitk.Image
        Blood volume of the tissue, ml/100 ml; large vessels are apart in `vessels`.
    cbf : sitk.Image
        Blood flow, ml/100 g/min.
    arterial_transit_time : sitk.Image
        s; 0 where no blood arrives.
    rcbv : sitk.Image
        `cbv` relative to normal white matter.
    grey, white, csf, lesion_fraction, vessels : sitk.Image
        Volume fractions; they sum to that of the brain. Grey matter includes the deep nuclei.
    solid : sitk.Image
        The part of `lesion_fraction` that is tumour tissue.
    brain : sitk.Image
        Brain mask.
    lesion : sitk.Image
        0 none, 1 solid (enhancing) tumour, 2 necrosis, 3 oedema and infiltration, 4 resection cavity.
    tumour : tuple of sitk.Image
        Three hot-spot regions of about 0.25 cm²; empty without a lesion.
    white_matter : tuple of sitk.Image
        Three regions of contralateral normal-appearing white matter, same slice; empty without a lesion.
    """

    f: sitk.Image
    d: sitk.Image
    d_star: sitk.Image
    cbv: sitk.Image
    cbf: sitk.Image
    arterial_transit_time: sitk.Image
    rcbv: sitk.Image
    grey: sitk.Image
    white: sitk.Image
    csf: sitk.Image
    lesion_fraction: sitk.Image
    vessels: sitk.Image
    solid: sitk.Image
    brain: sitk.Image
    lesion: sitk.Image
    tumour: tuple[sitk.Image, ...] = ()
    white_matter: tuple[sitk.Image, ...] = ()


def make_truth(scan: Scan, acquisition: Acquisition) -> Truth:
    """Sample the truth of a patient on an acquisition's grid, averaged over the slices' thickness.

    Parameters
    ----------
    scan : Scan
        Patient, exam and pose.
    acquisition : Acquisition
        The grid.
    """
    body = scan.body

    def of(quantity: object) -> np.ndarray:
        return body.mix(quantity, PARENCHYMA)  # type: ignore[arg-type]

    def blood_water(c: Compartment) -> np.ndarray:
        return np.asarray(c.water) * np.asarray(c.f)

    def still_water(c: Compartment) -> np.ndarray:
        return np.asarray(c.water) * (1 - np.asarray(c.f))

    volumes = [
        of(lambda c: c.water),
        of(blood_water),
        of(still_water),
        of(lambda c: still_water(c) * c.d),
        of(lambda c: blood_water(c) * c.d_star),
        of(lambda c: c.cbv),
        of(lambda c: c.cbf),
        of(lambda c: np.asarray(c.cbf) * c.transit_time),
        *(
            body.mix(lambda c: 1.0, names)
            for names in (
                ("grey", "deep"),
                ("white",),
                ("csf",),
                ("solid",),
                ("necrosis",),
                ("margin",),
                ("cavity",),
            )
        ),
        body.mix(lambda c: 1.0, ("artery", "vein")) * body.anatomy.brain,
        body.anatomy.brain.astype(np.float32),
    ]
    # Truth has the voxels' size but not the sequence's blur.
    sampled = scan.sampled(np.stack(volumes, -1), acquisition.sharp())
    (water, moving, still, still_d, moving_d, cbv, cbf, arrival, grey, white, csf, solid, necrosis, margin,
     cavity, vessels, brain) = np.moveaxis(sampled, -1, 0)  # fmt: skip
    reference = scan.prescription.grid_image(acquisition)

    def image(array: np.ndarray, kind: type = np.float32) -> sitk.Image:
        return like(array.astype(kind), reference)

    parts = np.stack([solid, necrosis, margin, cavity])
    labels = np.where(parts.sum(0) > 0.5, parts.argmax(0) + 1, 0)
    maps = {
        "f": image(_ratio(moving, water)),
        "d": image(_ratio(still_d, still)),
        "d_star": image(_ratio(moving_d, moving)),
        "cbv": image(cbv),
        "cbf": image(cbf),
        "arterial_transit_time": image(_ratio(arrival, cbf, 0.5)),
        "rcbv": image(cbv / np.float32(white_reference(body))),
        "grey": image(grey),
        "white": image(white),
        "csf": image(csf),
        "lesion_fraction": image(parts.sum(0)),
        "vessels": image(vessels),
        "solid": image(solid),
        "brain": image(brain > 0.5, np.uint8),
        "lesion": image(labels, np.uint8),
    }
    if body.lesion is None:
        return Truth(**maps)
    normal, offset = body.anatomy.sagittal_plane
    on_plane = np.array(scan.pose.TransformPoint([float(v) for v in normal * offset]))
    turned = np.array(scan.pose.TransformVector([float(v) for v in normal], [0.0, 0.0, 0.0]))
    plane = (turned, float(turned @ on_plane))
    tumour, white_matter = place_regions(maps["rcbv"], maps["solid"], maps["white"], maps["lesion"], plane)
    return Truth(**maps, tumour=tumour, white_matter=white_matter)


def _ratio(numerator: np.ndarray, denominator: np.ndarray, least: float = 1e-3) -> np.ndarray:
    return np.where(denominator > least, numerator / np.maximum(denominator, least), 0)
