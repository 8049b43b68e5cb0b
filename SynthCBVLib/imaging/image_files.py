"""One image file at a time: read with the faults named, write whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging import nrrd
from SynthCBVLib.imaging.nifti import not_finite, orthogonalised, read_floats, refuse_cut_short

#: Suffixes that images are read from and written to; ".nii.gz" first, as it is also a ".gz".
IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_KINDS = "an image file (" + ", ".join(IMAGE_SUFFIXES) + ")"


def image_suffix(path: Path) -> str:
    """Give the suffix of an image's name, ".nii.gz" as one; an empty string if it is none of ours."""
    name = path.name.lower()
    return next((suffix for suffix in IMAGE_SUFFIXES if name.endswith(suffix)), "")


def beside(path: Path, suffix: str) -> Path:
    """Name the companion of an image: ``beside("x.nii.gz", ".bval")`` is ``x.bval``."""
    known = image_suffix(path)
    stem = path.name[: -len(known)] if known else path.stem
    return path.with_name(stem + suffix)


def read_image(path: str | os.PathLike[str]) -> sitk.Image:
    """Read a 3D image or a 4D (or vector) series with its geometry.

    Parameters
    ----------
    path : path-like
        NIfTI, NRRD or MetaImage file.

    Returns
    -------
    sitk.Image
        3D scalar, 3D vector or 4D image; trailing axes of length one are dropped.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, not an image of 3 or 4 dimensions, or its axes are
        sheared by more than `nifti.SHEAR_TOLERANCE`. NIfTI directions within it are replaced by the nearest
        orthonormal ones (polar decomposition).
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, "no such file", _KINDS)
    if not path.is_file():
        raise InputError(path, "a folder", _KINDS)
    if path.stat().st_size == 0:
        raise InputError(path, "an empty file (0 bytes)", _KINDS, "Copy or export it again.")
    try:
        if image_suffix(path) in (".nii", ".nii.gz"):
            image = _read_nifti(path)
        elif image_suffix(path) in (".nrrd", ".nhdr"):
            image = _read_nrrd(path)
        else:
            image = _read(path)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(path, f"a file that cannot be read ({_reason(error)})", _KINDS) from None
    except OSError as error:
        raise InputError(path, f"a file that cannot be read ({error.strerror})", _KINDS) from None
    return _three_or_four_dimensions(image, path)


def write_image(
    image: sitk.Image, path: str | os.PathLike[str], sidecar: Mapping[str, Any] | None = None
) -> Path:
    """Write an image, and its JSON sidecar if one is given, whole or not at all.

    Parameters
    ----------
    image : sitk.Image
        Written with its own pixel type.
    path : path-like
        Name ending in one of `IMAGE_SUFFIXES`; its folder is made if need be.
    sidecar : Mapping, optional
        Written as ``<name>.json`` beside the image.

    Returns
    -------
    Path
        The image's path.

    Raises
    ------
    InputError
        If the name has none of the suffixes, or the file cannot be written there.
    """
    path = writable(path)
    targets = [path] if sidecar is None else [path, beside(path, ".json")]
    with written_whole(*targets) as temporary:
        save(image, temporary[0])
        if sidecar is not None:
            save_json(sidecar, temporary[1])
    return path


def writable(path: str | os.PathLike[str]) -> Path:
    """Check that a name is one that an image can be written to, in one file.

    Raises
    ------
    InputError
        If its suffix is none of .nii.gz, .nii, .nrrd and .mha.
    """
    path = Path(path)
    if image_suffix(path) not in (".nii.gz", ".nii", ".nrrd", ".mha"):
        raise InputError(path, f"the suffix {path.suffix!r}", "a name ending in .nii.gz, .nii, .nrrd or .mha")
    return path


@contextmanager
def written_whole(*paths: str | os.PathLike[str]) -> Iterator[list[Path]]:
    """Write files that appear together when all of them are complete, or not at all.

    Gives temporary names in the same folders (with the same suffixes) to write to. They take their final
    names at the end; if anything fails they are removed, as are folders made on the way.

    Raises
    ------
    InputError
        If a folder cannot be made or written to.
    """
    targets = [Path(path) for path in paths]
    temporary = [
        target.with_name(f".writing-{uuid.uuid4().hex[:8]}{image_suffix(target) or target.suffix}")
        for target in targets
    ]
    made: list[Path] = []
    try:
        for target in targets:
            made += _make_folder(target.parent)
            if target.is_dir():
                raise InputError(target, "a folder", "the name of a file to write")
        yield temporary
        for source, target in zip(temporary, targets, strict=True):
            os.replace(source, target)  # noqa: PTH105 - the rule of this library names os.replace
    except BaseException as error:
        for source in temporary:
            with suppress(OSError):
                source.unlink(missing_ok=True)
        for folder in reversed(made):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        if isinstance(error, OSError):
            raise InputError(
                error.filename2 or error.filename or targets[0],
                f"cannot be written ({error.strerror})",
                "a folder that may be written to, with space left",
            ) from error
        raise


def save(image: sitk.Image, path: Path) -> None:
    """Write an image at once; only for the temporary names of `written_whole`.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        with _quiet():
            sitk.WriteImage(image, str(path), useCompression=path.suffix != ".nii")
    except RuntimeError as error:
        raise InputError(
            path.parent, f"cannot be written ({_reason(error)})", "a folder with space left"
        ) from None


def save_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON at once; only for the temporary names of `written_whole`."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If the file holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"not JSON ({error})", "a JSON file with one object") from None
    if not isinstance(content, dict):
        raise InputError(path, f"a JSON {type(content).__name__}", "a JSON file with one object")
    return content


def _make_folder(folder: Path) -> list[Path]:
    missing = []
    folder = folder.absolute()
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(folder, "a file", "a folder to write to")
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
    return missing[::-1]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK's C++ warnings off the terminal; what matters of them is raised by name."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read(path: Path) -> sitk.Image:
    with _quiet():
        return sitk.ReadImage(str(path))


def _read_nifti(path: Path) -> sitk.Image:
    voxels = read_floats(path)
    if voxels is not None:
        image = _with_geometry(voxels, path)
        if image is not None:
            return image
    refuse_cut_short(path)
    try:
        image = _read(path)
    except RuntimeError as error:
        if "rthonormal" not in str(error):
            raise
        image = _read_copy(orthogonalised(path), "orthogonal.nii")
    return _with_nan(image, not_finite(path))


def _with_geometry(voxels: np.ndarray, path: Path) -> sitk.Image | None:
    """Give voxels the geometry that ITK reads from the header; None if ITK sees another image there."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with _quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    if reader.GetSize() != voxels.shape[::-1] or reader.GetNumberOfComponents() != 1:
        return None
    image = sitk.GetImageFromArray(voxels, isVector=False)
    if image.GetPixelID() != reader.GetPixelID():
        return None
    image.SetSpacing(reader.GetSpacing())
    image.SetOrigin(reader.GetOrigin())
    image.SetDirection(reader.GetDirection())
    return image


def _read_nrrd(path: Path) -> sitk.Image:
    header = nrrd.read_header(path)
    nrrd.refuse_unusable(path, header)
    try:
        return _read(path)
    except RuntimeError:
        content = nrrd.with_list_axis(path, header)
        if content is None:
            raise
        return _read_copy(content, "list.nrrd")


def _read_copy(content: bytes, name: str) -> sitk.Image:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / name
        copy.write_bytes(content)
        return _read(copy)


def _with_nan(image: sitk.Image, positions: np.ndarray) -> sitk.Image:
    """Put NaN back where ITK's reader made zeros of it; positions are in the order of the file."""
    if not positions.size:
        return image
    vector = image.GetNumberOfComponentsPerPixel() > 1
    array = sitk.GetArrayFromImage(image)
    # A NIfTI file keeps the components of a vector in its slowest axis, SimpleITK in the fastest.
    voxels = np.ascontiguousarray(np.moveaxis(array, -1, 0) if vector else array)
    voxels.reshape(-1)[positions] = np.nan
    restored = sitk.GetImageFromArray(np.moveaxis(voxels, 0, -1) if vector else voxels, isVector=vector)
    restored.CopyInformation(image)
    return restored


def _reason(error: Exception) -> str:
    """Pick the last telling line of an ITK message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def _three_or_four_dimensions(image: sitk.Image, path: Path) -> sitk.Image:
    size = list(image.GetSize())
    while len(size) > 3 and size[-1] == 1:
        image = sitk.Extract(image, [*size[:-1], 0], [0] * len(size))
        size.pop()
    if len(size) == 5 and size[3] == 1:  # NIfTI keeps vectors in the fifth axis
        image = sitk.Extract(image, [*size[:3], 0, size[4]], [0] * 5)
        size = list(image.GetSize())
    if len(size) not in (3, 4) or (len(size) == 4 and image.GetNumberOfComponentsPerPixel() > 1):
        raise InputError(path, f"a {len(size)}D image of size {tuple(size)}", "a 3D image or a 4D series")
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(path, "a complex image", "magnitude values", "Export the magnitude images.")
    geometry = (*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())
    if not np.all(np.isfinite(geometry)):
        raise InputError(path, "spacing, origin or direction that are not numbers", "a finite geometry")
    return image
