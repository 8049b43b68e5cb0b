"""How the images of a study are brought together, as the panel offers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.progress import Progress, part

if TYPE_CHECKING:
    from SynthCBVLib.imaging.registration import Registration
    from SynthCBVLib.synthesis import Model, ModelCard, Synthesis

#: Rigid and affine registration, or the positions that the files tell.
METHODS = ("rigid", "affine", "keep")


@dataclass(frozen=True)
class Alignment:
    """What is brought to what, and how.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    reference : str
        Modality whose grid the map gets; "" leaves it to the model's card.
    distortion : bool
        Whether the DWI's distortion along its phase direction is corrected against T2w.

    Raises
    ------
    InputError
        If there is no such method.
    """

    method: str = "rigid"
    reference: str = ""
    distortion: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError("registration", repr(self.method), f"one of {', '.join(METHODS)}")
        if not isinstance(self.distortion, bool):
            raise InputError("distortion", repr(self.distortion), "true or false")


def synthesize_aligned(
    study: Study, model: Model, device: str, alignment: Alignment, progress: Progress | None = None
) -> Synthesis:
    """Synthesise with another reference image or another registration than the model's own.

    The provenance's "registration" has, for each image, a "matrix" (4, 4) from points of the reference to
    points of the image (LPS, mm), whichever method was used.
    """
    import SimpleITK as sitk

    from SynthCBVLib.imaging.resampling import matrix_of
    from SynthCBVLib.synthesis import synthesize

    if alignment.reference:
        model = dataclasses.replace(model, card=_with_reference(model.card, study, alignment.reference))
    more = {"distortion": True} if alignment.distortion else {}
    if alignment.method == "rigid":
        result = synthesize(study, model, device, progress, **more)
        found: Mapping[Modality, Registration | None] = {}
    else:
        found = _register(study, model.card, alignment.method, part(progress, 0.0, 0.3))
        identity = sitk.Transform(3, sitk.sitkIdentity)
        transforms = {
            modality: identity if registration is None else registration.transform
            for modality, registration in found.items()
        }
        result = synthesize(study, model, device, part(progress, 0.3, 1.0), transforms=transforms, **more)
    told: dict[str, Any] = {}
    for name, entry in result.provenance["registration"].items():
        told[name] = {**entry, "matrix": matrix_of(result.transforms[Modality(name)]).tolist()}
        registration = found.get(Modality(name))
        if registration is not None:
            told[name] |= {
                "before": registration.before, "after": registration.after, "applied": registration.applied,
            }  # fmt: skip
    return dataclasses.replace(result, provenance={**result.provenance, "registration": told})


def _with_reference(card: ModelCard, study: Study, reference: str) -> ModelCard:
    inputs = [spec.modality for spec in card.inputs if spec.modality in study.images]
    if reference not in [modality.value for modality in inputs]:
        raise InputError(
            "Reference image", reference, f"one of {', '.join(inputs)}",
            "Choose the reference automatically, or load that image.",
        )  # fmt: skip
    return dataclasses.replace(card, reference=(Modality(reference),))


def _register(
    study: Study, card: ModelCard, method: str, progress: Progress
) -> dict[Modality, Registration | None]:
    """Register every input to the reference; None for those that stay where their headers say."""
    import SimpleITK as sitk

    from SynthCBVLib.imaging.registration import register
    from SynthCBVLib.imaging.study import settled
    from SynthCBVLib.synthesis.preprocess import reference_of

    name = reference_of(study, card)
    others = [
        spec.modality for spec in card.inputs if spec.modality in study.images and spec.modality != name
    ]
    if method == "keep":
        return dict.fromkeys(others)
    fixed = settled(sitk.Cast(study.scalar(name), sitk.sitkFloat32))
    found: dict[Modality, Registration | None] = {}
    for number, modality in enumerate(others):
        step = part(progress, number / len(others), (number + 1) / len(others))
        step(0.0, f"Registering {modality} to {name}")
        found[modality] = register(
            study.scalar(modality), fixed, "affine", moving_name=modality.value, fixed_name=name.value
        )
    return found
