"""Draws the pictures of the digital patients in Slicer's Sample Data module.

Run ``python SynthCBV/Resources/Icons/draw_thumbnails.py`` from the top of the repository after a change of
the digital patients.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.scene.colours import PERFUSION_SCALE

SEED = 1
#: Workflow -> the images on the left and on the right.
PAIRS = {"IVIM": (Modality.T2W, Modality.RCBV), "ASL": (Modality.T1W, Modality.CBF)}
SIZE = 132


def grey(image: sitk.Image, place: np.ndarray) -> Image.Image:
    """Draw the axial slice through a place (LPS, mm)."""
    level = image.TransformPhysicalPointToIndex(place.tolist())[2]
    array = sitk.GetArrayFromImage(image)[min(max(level, 0), image.GetSize()[2] - 1)]
    shades = np.clip(255 * array / np.percentile(array, 99.7), 0, 255).astype(np.uint8)
    return Image.fromarray(shades).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def coloured(picture: Image.Image) -> Image.Image:
    """Lay the perfusion scale over a grey picture."""
    values = np.asarray(picture) / 255.0
    positions = [stop[0] for stop in PERFUSION_SCALE]
    channels = [np.interp(values, positions, [stop[k] for stop in PERFUSION_SCALE]) for k in (1, 2, 3)]
    return Image.fromarray((255 * np.stack(channels, axis=-1)).astype(np.uint8))


def main() -> None:
    """Draw and save."""
    patient = DigitalPatient(SEED)
    lesion = patient.truth(Modality.T2W).lesion
    z, y, x = (float(np.median(axis)) for axis in np.nonzero(sitk.GetArrayViewFromImage(lesion) == 1))
    place = np.array(lesion.TransformContinuousIndexToPhysicalPoint((x, y, z)))
    for workflow, (left, right) in PAIRS.items():
        study = patient.study([left, right])
        whole = Image.new("RGB", (2 * SIZE, SIZE))
        whole.paste(grey(study.images[left], place), (0, 0))
        whole.paste(coloured(grey(study.images[right], place)), (SIZE, 0))
        path = Path(__file__).parent / f"SynthCBVDigitalPatient{workflow}.png"
        whole.quantize(96).save(path, optimize=True)


if __name__ == "__main__":
    main()
