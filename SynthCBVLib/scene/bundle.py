"""The whole scene <-> a .mrb file, which opens in 3D Slicer."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from SynthCBVLib.errors import InputError
from SynthCBVLib.scene.application import current_scene

if TYPE_CHECKING:
    import slicer


def save_scene(path: str | os.PathLike[str], scene: slicer.vtkMRMLScene | None = None) -> Path:
    """Write the scene with all its data into one .mrb file.

    Parameters
    ----------
    path : path
        File to write; an older one is replaced once the new one is whole.
    scene : vtkMRMLScene, optional
        The current one by default.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the name does not end in .mrb, its folder does not exist, or Slicer cannot write it.
    """
    import slicer

    path = Path(path).absolute()
    if path.suffix.lower() != ".mrb":
        raise InputError(path, f"the ending {path.suffix!r}", ".mrb, a Slicer scene with its data")
    if not path.parent.is_dir():
        raise InputError(path, "a folder that does not exist", "an existing folder")
    # The name inside the bundle is that of the file written, so the folder is the temporary part.
    folder = Path(tempfile.mkdtemp(prefix=".scene-", dir=path.parent))
    try:
        messages = slicer.vtkMRMLMessageCollection()
        written = folder / path.name
        with _same_folder():
            done = (scene or current_scene()).WriteToMRB(str(written), None, messages)
        if not done or not written.is_file():
            why = messages.GetAllMessagesAsString().strip() or "Slicer could not write the scene"
            raise InputError(path, why, "a folder that can be written, with room for all volumes")
        written.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


def load_scene(path: str | os.PathLike[str], scene: slicer.vtkMRMLScene | None = None) -> slicer.vtkMRMLScene:
    """Read a .mrb file into the scene, beside what is there.

    Raises
    ------
    InputError
        If the file is missing or is no scene.
    """
    import slicer

    path = Path(path).absolute()
    if not path.is_file():
        raise InputError(path, "no such file", "a .mrb scene file")
    scene = scene or current_scene()
    messages = slicer.vtkMRMLMessageCollection()
    with _same_folder():
        done = scene.ReadFromMRB(str(path), False, messages)
    if not done:
        why = messages.GetAllMessagesAsString().strip() or "a file that Slicer cannot read"
        raise InputError(path, why, "a .mrb scene file")
    return scene


@contextlib.contextmanager
def _same_folder() -> Iterator[None]:
    """Keep the current folder: packing bundles changes it, and a bundle that fails leaves it changed."""
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)
