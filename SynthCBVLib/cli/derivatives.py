"""What the verbs that write maps share: BIDS names, sidecars, and writing all maps or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from SynthCBVLib import __version__
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.image_files import beside, save, save_json, written_whole


def stem_of(path: Path, suffix: str) -> str:
    """Give a file's BIDS entities: ``sub-01_ses-2_dwi.nii.gz`` with suffix "dwi" gives ``sub-01_ses-2``."""
    return beside(path, "").name.removesuffix(f"_{suffix}")


def write_maps(
    images: Mapping[str, tuple[sitk.Image, Mapping[str, Any]]], folder: Path, inputs: Sequence[Path]
) -> list[Path]:
    """Write maps with JSON sidecars, all of them or none, and print their names.

    Parameters
    ----------
    images : Mapping
        Name without suffix -> image and what its sidecar says.
    folder : Path
        Made if need be.
    inputs : sequence of Path
        Files that the maps come from, named in the sidecars.

    Raises
    ------
    InputError
        If the folder is a file, a map would replace one of the inputs, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "a file", "a folder, or a new name for one")
    paths = [folder / f"{name}.nii.gz" for name in images]
    taken = {path.resolve() for path in inputs}
    for path in paths:
        if path.resolve() in taken:
            raise InputError(path, "an input of that name", "another folder", "Give one with --out.")
    targets = [name for path in paths for name in (path, beside(path, ".json"))]
    with written_whole(*targets) as temporary:
        for i, (image, sidecar) in enumerate(images.values()):
            save(image, temporary[2 * i])
            made = {"GeneratedBy": [{"Name": "SynthCBV", "Version": __version__}]}
            save_json({**sidecar, "Sources": [path.name for path in inputs], **made}, temporary[2 * i + 1])
    for path in paths:
        print(path)
    return paths
