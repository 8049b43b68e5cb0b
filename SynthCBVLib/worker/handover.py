"""Volumes between the panel and the worker: bare voxels with exact geometry, quick to write and to read.

Each volume is a .npy file; ``volumes.json`` beside them holds names and geometry in full precision, which
image formats round, and whatever else goes with the volumes. Both sides are on one computer, of one version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

INDEX = "volumes.json"


@dataclass(frozen=True)
class Volume:
    """A volume of a scene.

    Parameters
    ----------
    name : str
        As the user knows it, for messages.
    array : ndarray
        (z, y, x), or (z, y, x, component).
    spacing, origin : tuple of float
        mm (x, y, z), LPS.
    direction : tuple of float
        Nine cosines, row by row.
    """

    name: str
    array: np.ndarray
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image, name: str) -> Volume:
        """Copy a 3D image."""
        array = sitk.GetArrayFromImage(image)
        return cls(name, array, image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def image(self) -> sitk.Image:
        """Give a copy as an image; several components make a vector image."""
        image = sitk.GetImageFromArray(self.array, isVector=self.array.ndim == 4)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image


def write_volumes(folder: Path, volumes: Mapping[str, Volume], more: Mapping[str, Any] | None = None) -> Path:
    """Write volumes into a folder.

    Parameters
    ----------
    folder : Path
        Made if need be.
    volumes : Mapping
        Key -> volume.
    more : Mapping, optional
        What else the other side is to know, ready for JSON.

    Returns
    -------
    Path
        The index file, written last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for number, (key, volume) in enumerate(volumes.items()):
        np.save(folder / f"{number}.npy", volume.array, allow_pickle=False)
        entries[key] = {
            "file": f"{number}.npy", "name": volume.name, "spacing": list(volume.spacing),
            "origin": list(volume.origin), "direction": list(volume.direction),
        }  # fmt: skip
    index = folder / INDEX
    index.write_text(json.dumps({"volumes": entries, "more": dict(more or {})}), encoding="utf-8")
    return index


def read_volumes(folder: Path) -> tuple[dict[str, Volume], dict[str, Any]]:
    """Read what `write_volumes` wrote: the volumes by key, and what goes with them."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    volumes = {
        key: Volume(
            entry["name"],
            np.load(folder / entry["file"], allow_pickle=False),
            tuple(entry["spacing"]),
            tuple(entry["origin"]),
            tuple(entry["direction"]),
        )
        for key, entry in index["volumes"].items()
    }
    return volumes, index["more"]
