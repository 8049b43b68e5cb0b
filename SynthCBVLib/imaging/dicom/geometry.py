"""Where slices lie: grids in LPS millimetres, the order of slices, and what is missing between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.frame import Frame

#: Slices nearer than this (mm) are at one position; distances may differ by this plus a share of them.
SAME_POSITION, DISTANCE_SLACK, DISTANCE_SHARE = 0.01, 0.02, 0.02
#: How far slice centres may step aside of the normal, as a share of their distance (a sheared stack).
_LARGEST_SHEAR = 0.02
_LARGEST_SIDE = 8192
_LARGEST_MM = 1e5


@dataclass(frozen=True)
class Geometry:
    """Grid of a 3D image.

    Attributes
    ----------
    size : tuple of int
        Columns, rows, slices.
    spacing, origin : tuple of float
        mm; the origin is the centre of the first voxel, LPS.
    direction : tuple of float
        Row-major 3 × 3 matrix whose columns are the axes, LPS.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    def place(self, array: np.ndarray) -> sitk.Image:
        """Make a SimpleITK image from an array (z, y, x) on this grid."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image


@dataclass(frozen=True)
class Plane:
    """Plane of one slice: pixels, spacing (column step, row step; mm), axes as columns, first pixel (LPS)."""

    columns: int
    rows: int
    spacing: tuple[float, float]
    axes: np.ndarray
    position: np.ndarray

    @property
    def depth(self) -> float:
        """Position along the normal, mm."""
        return float(self.position @ self.axes[:, 2])


def plane_of(frame: Frame) -> Plane:
    """Read the plane of a frame.

    Raises
    ------
    InputError
        If size, pixel spacing, orientation or position are missing or cannot be.
    """
    columns, rows = frame.count("Columns"), frame.count("Rows")
    if not columns or not rows or not (0 < columns <= _LARGEST_SIDE and 0 < rows <= _LARGEST_SIDE):
        raise InputError(frame.where, f"{columns} columns and {rows} rows", f"1 to {_LARGEST_SIDE} of both")
    spacing = _exactly(frame, "PixelSpacing", 2)
    if not all(1e-3 <= s <= 1e3 for s in spacing):
        raise InputError(frame.where, f"PixelSpacing {_shown(spacing)} mm", "positive pixel sizes in mm")
    cosines = np.array(_exactly(frame, "ImageOrientationPatient", 6))
    position = np.array(_exactly(frame, "ImagePositionPatient", 3))
    if np.abs(position).max() > _LARGEST_MM:
        raise InputError(frame.where, f"ImagePositionPatient {_shown(position)} mm", "a place in the scanner")
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 1e-2 or abs(row @ column) > 1e-2:
        raise InputError(
            frame.where, f"ImageOrientationPatient {_shown(cosines)}", "two unit vectors at right angles"
        )
    row = row / lengths[0]
    column = column - (row @ column) * row
    column /= np.linalg.norm(column)
    axes = np.stack([row, column, np.cross(row, column)], axis=1)
    return Plane(columns, rows, (spacing[1], spacing[0]), axes, position)


@dataclass(frozen=True)
class Stack:
    """Frames of one grid sorted into slices.

    Attributes
    ----------
    geometry : Geometry
    slices : tuple of tuple of int
        For each slice, from the first along the normal: indices of its frames, in the order given.
    """

    geometry: Geometry
    slices: tuple[tuple[int, ...], ...]


def stack(frames: Sequence[Frame], name: str) -> Stack:
    """Sort frames into slices along their normal.

    Parameters
    ----------
    frames : sequence of Frame
    name : str
        How messages call the series.

    Raises
    ------
    InputError
        If the frames do not share size, pixel spacing and orientation, or their slices are not evenly spaced:
        a slice is missing, or the stack is sheared.
    """
    planes = [plane_of(frame) for frame in frames]
    first = planes[0]
    for frame, plane in zip(frames, planes, strict=True):
        if (plane.columns, plane.rows) != (first.columns, first.rows):
            raise InputError(
                name, f"{plane.columns} × {plane.rows} pixels in {frame.where} but {first.columns} × "
                f"{first.rows} in {frames[0].where}", "images of one size",
            )  # fmt: skip
        if not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise InputError(
                name, f"pixels of {_shown(plane.spacing)} mm in {frame.where} but of {_shown(first.spacing)} "
                f"mm in {frames[0].where}", "images of one pixel size",
            )  # fmt: skip
        if not np.allclose(plane.axes, first.axes, atol=2e-3):
            raise InputError(
                name, f"the orientation {_shown(plane.axes[:, :2].T.ravel())} in {frame.where} but "
                f"{_shown(first.axes[:, :2].T.ravel())} in {frames[0].where}", "images of one orientation",
                "A localiser or several stacks cannot be one image.",
            )  # fmt: skip
    normal = first.axes[:, 2]
    depths = np.array([float(plane.position @ normal) for plane in planes])
    slices = _levels(depths)
    order = np.array([depths[list(members)].mean() for members in slices])
    corners = np.array([np.mean([planes[i].position for i in members], axis=0) for members in slices])
    _check_one_place(planes, slices, corners, frames, name)
    distance = _distance(order, frames, slices, name)
    if len(slices) > 1:
        _check_straight(corners, normal, distance, name)
    start = planes[slices[0][0]].position
    return Stack(
        Geometry(
            (first.columns, first.rows, len(slices)),
            (*first.spacing, distance),
            tuple(float(x) for x in start),
            tuple(float(x) for x in first.axes.ravel()),
        ),
        slices,
    )


def _levels(depths: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Group indices by depth, ascending; the order within a level is that of the indices."""
    levels: list[list[int]] = []
    last = -np.inf
    for index in np.argsort(depths, kind="stable"):
        if depths[index] - last > SAME_POSITION:
            levels.append([])
        levels[-1].append(int(index))
        last = depths[index]
    return tuple(tuple(sorted(level)) for level in levels)


def _distance(depths: np.ndarray, frames: Sequence[Frame], slices: tuple, name: str) -> float:
    if len(depths) == 1:
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            value = frames[0].hint(keyword)
            if value is not None and 1e-3 <= abs(value) <= 1e3:
                return abs(value)
        return 1.0
    steps = np.diff(depths)
    usual = float(np.median(steps))
    # With few slices left, half of the steps may be gaps: the header's distance, if a step has it, is right.
    recorded = frames[0].hint("SpacingBetweenSlices")
    if recorded is not None and np.any(np.abs(steps - recorded) <= _slack(recorded)):
        usual = recorded
    elif usual > steps.min() + _slack(usual) and len(steps) < 4:
        usual = float(steps.min())
    for k, step in enumerate(steps):
        if abs(step - usual) <= _slack(usual):
            continue
        between = (
            f"between {frames[slices[k][0]].where} and {frames[slices[k + 1][0]].where} "
            f"(slices {k + 1} and {k + 2})"
        )
        missing = step / usual - 1
        if missing > 0.5 and abs(missing - round(missing)) * usual <= _slack(step):
            raise InputError(
                name, f"{round(missing)} missing slice(s): {step:.2f} mm {between}, {usual:.2f} mm elsewhere",
                "all slices of the series", "Send the series again from the archive.",
            )  # fmt: skip
        raise InputError(
            name, f"uneven slice distances: {step:.3f} mm {between}, {usual:.3f} mm elsewhere",
            "evenly spaced slices", "A slice may be missing, or two series are mixed.",
        )  # fmt: skip
    return float((depths[-1] - depths[0]) / (len(depths) - 1))


def _slack(distance: float) -> float:
    return DISTANCE_SLACK + DISTANCE_SHARE * abs(distance)


def _check_straight(corners: np.ndarray, normal: np.ndarray, distance: float, name: str) -> None:
    steps = np.diff(corners, axis=0)
    aside = np.linalg.norm(steps - (steps @ normal)[:, None] * normal, axis=1)
    drift = corners[-1] - corners[0]
    drift = np.linalg.norm(drift - (drift @ normal) * normal)
    if aside.max() > max(DISTANCE_SLACK, _LARGEST_SHEAR * distance) or drift > 0.5:
        raise InputError(
            name, f"slices that step aside by up to {aside.max():.2f} mm ({drift:.2f} mm in all)",
            "slices straight above each other", "A sheared stack must be resampled first, as with dcm2niix.",
        )  # fmt: skip


def _check_one_place(
    planes: Sequence[Plane], slices: tuple, corners: np.ndarray, frames: Sequence[Frame], name: str
) -> None:
    for members, corner in zip(slices, corners, strict=True):
        for i in members:
            aside = float(np.linalg.norm(planes[i].position - corner))
            if aside > 10 * SAME_POSITION:
                raise InputError(
                    name, f"{frames[i].where} is {aside:.2f} mm beside the others of its slice",
                    "repeats at one place", "Two series may be mixed.",
                )  # fmt: skip


def _exactly(frame: Frame, keyword: str, count: int) -> tuple[float, ...]:
    values = frame.numbers(keyword)
    if len(values) != count:
        seen = f"{keyword} with {len(values)} numbers" if values else f"no {keyword}"
        raise InputError(frame.where, seen, f"{count} numbers", "Its place in the patient is not known.")
    return values


def _shown(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
