"""A study put together from single files, one a modality."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import asl_timing, mean_volume
from SynthCBVLib.imaging.diffusion_files import read_diffusion_with_source
from SynthCBVLib.imaging.image_files import beside, read_image, read_json
from SynthCBVLib.imaging.opened import OpenedStudy, line_of
from SynthCBVLib.imaging.study import AslSeries, Modality, Study, StudyImage

PathLike = str | os.PathLike[str]
_ASL_PARTS = ("control", "label", "m0")


def study_from_files(
    paths: Mapping[Modality | str, PathLike],
    b_values: Sequence[float] | PathLike | None = None,
    subject: str = "01",
    labelling: str | None = None,
    label_duration: float | None = None,
    post_label_delay: float | None = None,
) -> Study:
    """Put a study together from loose files.

    Parameters
    ----------
    paths : Mapping
        File of each modality; "control", "label" and "m0" together stand for `Modality.CBF`
        (series of repeats are averaged).
    b_values : sequence of float or path-like, optional
        b-values of the DWI, s/mm², or the file that holds them; by default the .bval beside the image.
    subject : str
        Label of the subject.
    labelling : {"pcasl", "pasl"}, optional
    label_duration, post_label_delay : float, optional
        Timing of the ASL, s. What is not given is taken from the JSON beside the control image, if any.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        If a file cannot be used, an ASL part is missing, or CBF is given twice.
    """
    return open_files(paths, b_values, subject, labelling, label_duration, post_label_delay).study


def open_files(
    paths: Mapping[Modality | str, PathLike],
    b_values: Sequence[float] | PathLike | None = None,
    subject: str = "01",
    labelling: str | None = None,
    label_duration: float | None = None,
    post_label_delay: float | None = None,
) -> OpenedStudy:
    """Put a study together as `study_from_files` does, and tell what was found."""
    parts = {key: Path(path) for key, path in paths.items() if str(key) in _ASL_PARTS}
    images: dict[Modality, StudyImage] = {}
    found = []
    for key, path in paths.items():
        if str(key) in _ASL_PARTS:
            continue
        try:
            modality = Modality(key)
        except ValueError:
            known = ", ".join([*(m.value for m in Modality), *_ASL_PARTS])
            raise InputError(path, f"given as {key!r}", f"one of {known}") from None
        if modality is Modality.DWI:
            images[modality], source = read_diffusion_with_source(path, b_values)
        else:
            images[modality], source = _one_volume(Path(path), modality), ""
        found.append(line_of(modality, images[modality], Path(path), source))
    if parts:
        if Modality.CBF in images:
            raise InputError(
                paths[Modality.CBF], "a CBF map beside control and label images", "one of the two",
                "Leave out the CBF map, or control, label and M0.",
            )  # fmt: skip
        images[Modality.CBF] = _asl_from_parts(parts, labelling, label_duration, post_label_delay)
        found.append(line_of(Modality.CBF, images[Modality.CBF], parts["control"]))
    if not images:
        raise InputError(f"subject {subject}", "no images", "at least one image file")
    return OpenedStudy(Study(re.sub(r"^sub-", "", subject), images), "single images", tuple(found))


def _one_volume(path: Path, modality: Modality) -> sitk.Image:
    image = read_image(path)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(
            path,
            f"a series of size {image.GetSize()} with {image.GetNumberOfComponentsPerPixel()} component(s)",
            f"one 3D volume as {modality}",
        )
    return image


def _asl_from_parts(
    parts: Mapping[str, Path],
    labelling: str | None,
    label_duration: float | None,
    post_label_delay: float | None,
) -> AslSeries:
    missing = [part for part in _ASL_PARTS if part not in parts]
    if missing:
        given = ", ".join(f"{part} {path}" for part, path in parts.items())
        raise InputError(given, f"no {' and no '.join(missing)} image", "control, label and m0 together")
    sidecar = beside(parts["control"], ".json")
    recorded = asl_timing(read_json(sidecar), sidecar) if sidecar.is_file() else ("pcasl", None, None)
    given = asl_timing(
        {"LabelingDuration": label_duration, "PostLabelingDelay": post_label_delay}, Path("the given timing")
    )
    return AslSeries(
        **{part: mean_volume(read_image(parts[part])) for part in _ASL_PARTS},
        labelling=labelling or recorded[0],
        label_duration=recorded[1] if given[1] is None else given[1],
        post_label_delay=recorded[2] if given[2] is None else given[2],
        name=str(parts["control"]),
    )
