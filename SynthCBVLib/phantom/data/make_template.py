"""Make `icbm152.nii.gz`, the bundled anatomy, from the ICBM152 2009a symmetric maps that nilearn ships.

Usage: ``python make_template.py NILEARN_DATA_FOLDER`` with the folder ``nilearn/datasets/data`` of an
unpacked nilearn 0.14.1 wheel. Writes one 4D image of 8-bit volumes beside this script: grey matter, white
matter and brain, each 0 to 255.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

SPACING_MM = 2.0
NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


def reduce(image: sitk.Image, reference: sitk.Image) -> sitk.Image:
    """Blur against aliasing (half of the new voxel as FWHM) and resample to the new grid."""
    sigma = SPACING_MM / 2.355
    smooth = sitk.SmoothingRecursiveGaussian(sitk.Cast(image, sitk.sitkFloat32), sigma)
    small = sitk.Resample(smooth, reference, sitk.Transform(), sitk.sitkLinear, 0.0)
    return sitk.Cast(sitk.Clamp(small + 0.5, sitk.sitkFloat32, 0.0, 255.0), sitk.sitkUInt8)


def main(folder: Path) -> None:
    """Read the three 1 mm maps and write the reduced copy."""
    grey, white, t1 = (
        sitk.DICOMOrient(sitk.ReadImage(str(folder / NAME.format(kind))), "LPS")
        for kind in ("gm", "wm", "t1")
    )
    head = sitk.GetArrayFromImage(t1) > 0
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(head, iterations=2))
    mask = sitk.GetImageFromArray(brain.astype(np.uint8) * 255)
    mask.CopyInformation(t1)
    size = [int(np.ceil(n / SPACING_MM)) for n in t1.GetSize()]
    reference = sitk.Image(size, sitk.sitkUInt8)
    reference.SetSpacing([SPACING_MM] * 3)
    reference.SetOrigin(t1.GetOrigin())
    volumes = [reduce(image, reference) for image in (grey, white, mask)]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(Path(__file__).with_name("icbm152.nii.gz")), True, 9)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
