"""A synthetic map as DICOM Parametric Map: float values, coded quantity and unit, and what it was made from.

Slicer's own export of scalar volumes rounds to integers and says nothing of quantity or origin.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.identity import (
    Source,
    coded,
    refer,
    refuse_several_studies,
    remove_dates,
    source_of,
    template_of,
    uid_of,
)
from SynthCBVLib.imaging.image_files import written_whole

if TYPE_CHECKING:
    from pydicom import Dataset

Kind = Literal["rcbv", "uncertainty"]

_TITLES: dict[str, str] = {
    "rcbv": "Synthetic rCBV (not measured)",
    "uncertainty": "Standard deviation of synthetic rCBV (not measured)",
}
_SERIES_NUMBERS = {"rcbv": 9001, "uncertainty": 9002}
_CONTRASTS = {"rcbv": "QUANTITY", "uncertainty": "STD_DEVIATION"}


def write_parametric_map(
    path: str | os.PathLike[str],
    image: sitk.Image,
    kind: Kind,
    provenance: Mapping[str, Any],
    source_files: Sequence[str | os.PathLike[str]] | None = None,
    identified: bool = False,
    subject: str = "01",
) -> Path:
    """Write a synthetic map as one DICOM Parametric Map (a frame for each slice, 32-bit float).

    Parameters
    ----------
    path : path-like
        The file, such as ``rcbv.dcm``.
    image : sitk.Image
        3D map.
    kind : {"rcbv", "uncertainty"}
        The map itself, or its standard deviation.
    provenance : Mapping
        As `Synthesis.provenance`: unit, software, model with the SHA-256 of its weights.
    source_files : sequence of path-like, optional
        DICOM files of one study that the map was made from; the map refers to each and joins their study.
    identified : bool
        Whether patient and study are those of the sources. Without it names, dates and numbers are left
        out and all UIDs are replaced, the same one always by the same.
    subject : str
        Patient ID where it is not taken from the sources.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If highdicom is not installed, the map is not a 3D image of finite numbers on orthogonal axes, or the
        sources are no DICOM files of one study.
    """
    hd = _highdicom()
    path = Path(path)
    if kind not in _TITLES:
        raise InputError("kind of the map", repr(kind), " or ".join(_TITLES))
    values, axes = _checked(image, path)
    sources = [source_of(Path(file)) for file in source_files or ()]
    refuse_several_studies(sources)
    if identified and not sources:
        raise InputError(
            path, "a map of a known patient without source files", "the DICOM files that it was made from",
            "Give them, or write the map without identity.",
        )  # fmt: skip
    seed = json.dumps(
        [provenance, kind, subject, identified, [str(s.header.SOPInstanceUID) for s in sources]],
        sort_keys=True, default=str,
    )  # fmt: skip
    template = template_of(sources, image, identified, subject, seed)
    data = hd.pm.ParametricMap(
        source_images=[template],
        pixel_array=values,
        series_instance_uid=uid_of(seed, "series"),
        series_number=_SERIES_NUMBERS[kind],
        sop_instance_uid=uid_of(seed, "instance", values.tobytes()),
        instance_number=1,
        manufacturer="SynthCBV",
        manufacturer_model_name=_short(_model(provenance, "name", "version") or "SynthCBV"),
        software_versions=_short(_software(provenance)),
        # The weights are what makes one such "device" differ from another.
        device_serial_number=_short(_model(provenance, "weights_sha256") or "unknown"),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(hd, kind, values, str(provenance.get("unit", "")))],
        **_window(hd, values),
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=image.GetSpacing()[1::-1],
            slice_thickness=image.GetSpacing()[2],
            spacing_between_slices=image.GetSpacing()[2],
        ),
        plane_orientation=hd.PlaneOrientationSequence(
            hd.CoordinateSystemNames.PATIENT, [*axes[:, 0], *axes[:, 1]]
        ),
        plane_positions=[
            hd.PlanePositionSequence(
                hd.CoordinateSystemNames.PATIENT,
                image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, float(k))),
            )
            for k in range(image.GetSize()[2])
        ],
        content_label="RCBV" if kind == "rcbv" else "RCBV_SD",
        content_description=_short(_TITLES[kind]),
        content_qualification="RESEARCH",
        image_flavor="PERFUSION",
        derived_pixel_contrast=_CONTRASTS[kind],
        series_description=_short(_TITLES[kind]),
    )
    _describe(data, sources, kind, provenance, identified)
    with written_whole(path) as (temporary,):
        data.save_as(temporary, enforce_file_format=True)
    return path


def _highdicom() -> Any:
    try:
        import highdicom.pm  # the submodule is not loaded with the package in all versions
    except ImportError:
        raise InputError(
            "highdicom", "not installed", "highdicom, which writes DICOM Parametric Maps",
            "Install it with: pip install highdicom. Or write NIfTI or NRRD.",
        ) from None  # fmt: skip
    return highdicom


def _checked(image: sitk.Image, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the voxels (z, y, x) as float32 and the axes as columns."""
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(path, f"a {image.GetDimension()}D image to write", "one 3D map")
    values = np.ascontiguousarray(sitk.GetArrayFromImage(image), dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputError(path, "values that are not finite in the map", "numbers alone")
    axes = np.array(image.GetDirection()).reshape(3, 3)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):
        raise InputError(path, "a map with sheared axes", "orthogonal axes", "Resample it first.")
    return values, axes


def _mapping(hd: Any, kind: Kind, values: np.ndarray, unit: str) -> Any:
    from highdicom.sr import CodeContentItem, CodedConcept
    from pydicom.sr.codedict import codes

    lowest, highest = float(values.min()), float(values.max())
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="RCBV" if kind == "rcbv" else "RCBV_SD",
        lut_explanation=_short(f"synthetic, {unit}" if unit else "synthetic"),
        # The map is relative: a ratio without dimension (CID 7181), of what is in the explanation.
        unit=codes.UCUM.Ratio,
        value_range=(lowest, highest),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.DCM.RelativeRegionalBloodVolume,  # CID 4108 and 7180
    )
    if kind == "uncertainty":
        mapping.QuantityDefinitionSequence.append(
            CodeContentItem(
                name=CodedConcept("121401", "DCM", "Derivation"),
                value=CodedConcept("386136009", "SCT", "Standard deviation"),
            )
        )
    return mapping


def _window(hd: Any, values: np.ndarray) -> dict[str, Any]:
    """Give the window that viewers open the map with, as arguments of this highdicom's version."""
    inside = values[values > 0]
    top = round(float(np.percentile(inside, 99.0)), 6) if inside.size else 1.0
    center, width = (top / 2, top) if top > 0 else (0.5, 1.0)
    if "voi_lut_transformations" in inspect.signature(hd.pm.ParametricMap.__init__).parameters:
        return {
            "voi_lut_transformations": [hd.VOILUTTransformation(window_center=center, window_width=width)]
        }
    return {"window_center": center, "window_width": width}  # before 0.28, as in Slicer


def _describe(
    data: Dataset, sources: Sequence[Source], kind: Kind, provenance: Mapping[str, Any], identified: bool
) -> None:
    """Say how the map came about, and from what."""
    from pydicom import Dataset

    if not identified:
        remove_dates(data)
    data.DerivationDescription = _derivation(kind, provenance)
    derivation = Dataset()
    derivation.DerivationDescription = data.DerivationDescription
    # CID 7203 has none nearer to a synthesis.
    derivation.DerivationCodeSequence = [coded("129104", "DCM", "Perfusion image analysis")]
    refer(data, derivation, sources, identified)
    data.SharedFunctionalGroupsSequence[0].DerivationImageSequence = [derivation]


def _derivation(kind: Kind, provenance: Mapping[str, Any]) -> str:
    what = "Relative cerebral blood volume" if kind == "rcbv" else (
        "Standard deviation expected of the relative cerebral blood volume"
    )  # fmt: skip
    inputs = ", ".join(map(str, provenance.get("inputs", {}))) or "MRI"
    text = (
        f"SYNTHETIC, not measured: {what} computed by a neural network from {inputs}, without a bolus. "
        f"{_software(provenance)}, model {_model(provenance, 'name', 'version') or 'unknown'}, weights "
        f"SHA-256 {_model(provenance, 'weights_sha256') or 'unknown'}. "
        f"Unit: {provenance.get('unit', 'unknown')}. "
        f"{_model(provenance, 'training_data')} {_model(provenance, 'intended_use')}"
    )
    return text.encode("ascii", "replace").decode("ascii").strip()[:1024]


def _software(provenance: Mapping[str, Any]) -> str:
    software = provenance.get("software", {})
    return f"{software.get('name', 'SynthCBV')} {software.get('version', '')}".strip()


def _model(provenance: Mapping[str, Any], *keys: str) -> str:
    model = provenance.get("model", {})
    return " ".join(str(model[key]) for key in keys if model.get(key))


def _short(text: str) -> str:
    """Fit text into a long string of DICOM: 64 characters without backslashes."""
    return text.encode("ascii", "replace").decode("ascii").replace("\\", "/")[:64]
