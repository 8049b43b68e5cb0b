"""Pixel data of frames, with the rescaling that the header asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.frame import Frame, as_numbers
from SynthCBVLib.imaging.dicom.headers import damage_named, pydicom_module

#: Larger files (bytes of pixels) are taken for a damaged header: a hospital's series are below it.
_LARGEST = 1 << 32
_DECODERS = {
    "1.2.840.10008.1.2.4.50": "pylibjpeg pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.51": "pylibjpeg pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.57": "pylibjpeg pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.70": "pylibjpeg pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg pylibjpeg-openjpeg",
}
_KINDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def stored_pixels(frame: Frame) -> np.ndarray:
    """Read the stored values of all frames of a frame's file.

    Returns
    -------
    np.ndarray
        Shape (frames, rows, columns); the stored integer type, or float.

    Raises
    ------
    InputError
        If there is no pixel data, it is cut off, of a colour image, or compressed in a way that no
        installed package decodes.
    """
    pydicom = pydicom_module()
    path = frame.path
    with damage_named(path, "the file"):
        dataset = pydicom.dcmread(path)
        syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    with damage_named(path, "its transfer syntax"):
        known = isinstance(syntax, pydicom.uid.UID) and syntax.is_transfer_syntax
    if not known:
        seen = f"transfer syntax {str(syntax)[:80]}" if syntax else "no transfer syntax"
        raise InputError(path, seen, "an undamaged DICOM file", "Send the series again from the archive.")
    with damage_named(path, "its pixel data"):
        stored = [value for name in _KINDS if (value := dataset.get(name)) is not None]
    if not stored:
        raise InputError(path, "no pixel data", "an image", "Send the series again from the archive.")
    if not isinstance(stored[0], bytes):  # a damaged header may call it a number or a text
        raise InputError(path, f"pixel data of type {type(stored[0]).__name__}", "pixel data in bytes",
                         "Send the series again from the archive.")  # fmt: skip
    single = Frame(path, 0, (dataset,))
    rows, columns = single.count("Rows") or 0, single.count("Columns") or 0
    count, bits = single.count("NumberOfFrames") or 1, single.count("BitsAllocated") or 0
    if (single.count("SamplesPerPixel") or 1) != 1:
        raise InputError(path, "a colour image", "one value a pixel")
    if rows <= 0 or columns <= 0 or count <= 0 or bits not in (8, 16, 32, 64):
        seen = f"{count} frame(s) of {columns} × {rows} pixels with {bits} bits"
        raise InputError(path, seen, "at least one frame with 8, 16, 32 or 64 bits a pixel")
    expected = rows * columns * count * bits // 8
    if expected > _LARGEST:
        raise InputError(
            path, f"{expected / 2**30:.0f} GiB of pixels by its header", "an undamaged DICOM file"
        )
    if syntax.is_compressed and dataset.get("PixelData") is not None:
        _refuse_without_decoder(path, syntax)
    else:
        there = len(stored[0])
        if there < expected:
            raise InputError(
                path, f"truncated pixel data: {there} of {expected} bytes", "the whole image",
                "Send the series again from the archive.",
            )  # fmt: skip
    with damage_named(path, "its pixel data"):
        array = np.asarray(dataset.pixel_array)
    if array.size != count * rows * columns:
        seen = f"{array.size} pixels of {count * rows * columns} ({array.shape})"
        raise InputError(path, seen, "the pixels that the header tells of")
    return array.reshape(count, rows, columns)


def _refuse_without_decoder(path: Any, syntax: Any) -> None:
    from pydicom.pixels import get_decoder

    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        package = _DECODERS.get(str(syntax))
        raise InputError(
            path, f"pixels compressed as {syntax.name}", "a package that decodes them",
            f"Install it with: pip install {package}; or export the series uncompressed."
            if package else "Export the series uncompressed.",
        )  # fmt: skip


def rescaling(frame: Frame, derived: bool) -> tuple[float, float]:
    """Give slope and intercept from stored values to those that are used.

    RescaleSlope and RescaleIntercept where they are recorded, else the real-world value mapping. Philips
    scales every image to its own range: for its original images the slope is divided by RescaleSlope and
    scale slope, (2005,100E), so that images of one examination are on one scale (the manufacturer's
    "floating point value").

    Parameters
    ----------
    frame : Frame
    derived : bool
        Whether the image is a derived map (ADC, CBF): those keep the displayed value.

    Raises
    ------
    InputError
        If a slope is zero or no finite number.
    """
    slope, intercept = frame.number_of("RescaleSlope"), frame.number_of("RescaleIntercept")
    if slope is None:
        mapping = frame.value("RealWorldValueMappingSequence")
        if mapping is not None:
            with damage_named(frame.path, "the real-world value mapping"):
                item = Frame(frame.path, frame.number, (mapping[0],))
            slope = item.number_of("RealWorldValueSlope")
            intercept = item.number_of("RealWorldValueIntercept")
    else:
        scale = None if derived else frame.private_value("Philips scale slope")
        if scale is not None:
            scale = float(_finite(frame, "Philips scale slope (2005,100E)", scale))
            if not scale or not slope:
                raise InputError(
                    frame.where, f"RescaleSlope {slope:g}, scale slope {scale:g}", "slopes not 0"
                )
            return 1.0 / scale, (intercept or 0.0) / (slope * scale)
    slope = 1.0 if slope is None else slope
    if slope == 0:
        raise InputError(frame.where, "RescaleSlope 0", "a slope that is not 0")
    return slope, intercept or 0.0


def _finite(frame: Frame, name: str, value: Any) -> float:
    numbers = as_numbers(value, frame.where, name)
    if not numbers:
        raise InputError(frame.where, f"{name} is empty", "a number")
    return numbers[0]


class PixelReader:
    """Reads frames of a series; keeps the file that it read last, since frames share files.

    Parameters
    ----------
    derived : bool
        See `rescaling`.
    """

    def __init__(self, derived: bool = False) -> None:
        self._derived, self._path, self._pixels = derived, None, None

    def stored(self, frame: Frame) -> np.ndarray:
        """Give a frame's stored values (rows, columns)."""
        if self._path != frame.path:
            self._pixels, self._path = stored_pixels(frame), frame.path
        if frame.number >= len(self._pixels):
            raise InputError(frame.path, f"no frame {frame.number + 1}", "as many frames as its header tells")
        return self._pixels[frame.number]

    def volumes(self, frames: Sequence[Sequence[Frame]], step: Any = None) -> list[np.ndarray]:
        """Read volumes of one series.

        Parameters
        ----------
        frames : sequence of sequence of Frame
            Slices of each volume.
        step : callable, optional
            Called with the fraction done.

        Returns
        -------
        list of np.ndarray
            Shape (slices, rows, columns) each, all of one type: the stored integers where no frame is
            rescaled, else 32-bit float.
        """
        scales = [[rescaling(frame, self._derived) for frame in volume] for volume in frames]
        plain = all(scale == (1.0, 0.0) for volume in scales for scale in volume)
        # By file, not by volume: an enhanced file is then decoded once.
        places = [(v, s) for v, volume in enumerate(frames) for s in range(len(volume))]
        places.sort(key=lambda place: (str(frames[place[0]][place[1]].path), place))
        stored: dict[tuple[int, int], np.ndarray] = {}
        for done, (v, s) in enumerate(places):
            if step is not None:
                step(done / len(places))
            pixels = self.stored(frames[v][s])
            if not plain or pixels.dtype.kind == "f":
                slope, intercept = scales[v][s]
                with np.errstate(over="ignore"):
                    pixels = (pixels.astype(np.float64) * slope + intercept).astype(np.float32)
            stored[v, s] = pixels
        shapes = {pixels.shape for pixels in stored.values()}
        if len(shapes) > 1:
            raise InputError(frames[0][0].where, f"slices of {sorted(shapes)} pixels", "slices of one size")
        kind = np.result_type(*{pixels.dtype for pixels in stored.values()})
        if kind.kind in "iu" and kind.itemsize > 4:
            kind = np.dtype(np.float32)
        return [
            np.stack([stored[v, s] for s in range(len(volume))]).astype(kind, copy=False)
            for v, volume in enumerate(frames)
        ]
