"""Provenance: what a map was made from, with what, and what was noticed. No names, dates or paths."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib import __version__
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Study, StudyImage
from SynthCBVLib.synthesis.calibration import scale_factor
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.inference import Inference
from SynthCBVLib.synthesis.model import Model
from SynthCBVLib.synthesis.novelty import Novelty
from SynthCBVLib.synthesis.preprocess import Prepared


def describe(
    study: Study,
    model: Model,
    prepared: Prepared,
    inference: Inference,
    findings: Sequence[Finding],
    novelty: Novelty | None = None,
) -> dict[str, Any]:
    """Describe a synthesis in JSON-ready form.

    Same study, same weights and same device give the same description: it holds no time.
    """
    card = model.card
    used = [spec.modality for spec in card.inputs if spec.modality in study.images]
    return {
        "software": {"name": "SynthCBV", "version": __version__},
        "quantity": "synthetic rCBV",
        "unit": card.output.unit,
        "model": {
            "name": card.name,
            "version": card.version,
            "weights_sha256": model.sha256,
            "training_data": card.training_data,
            "intended_use": card.intended_use,
            "card": described_card(card),
        },
        "device": inference.device,
        "tiles": inference.tiles,
        "reference": prepared.reference_modality.value,
        "uncertainty": {
            "meaning": "standard deviation of the error to expect: √2 × Laplace scale × scale_factor",
            "scale_factor": scale_factor(card),
            "calibrated": "scale_factor" in card.calibration,
        },
        "novelty": None if novelty is None else novelty.as_json(),
        "b_values": None if prepared.b_values is None else asdict(prepared.b_values),
        "inputs": {modality.value: {"sha256": fingerprint(study.images[modality])} for modality in used},
        "registration": {
            modality.value: {
                "parameters": list(transform.GetParameters()),
                "fixed_parameters": list(transform.GetFixedParameters()),
                **_metric(prepared, modality),
            }
            for modality, transform in prepared.transforms.items()
            if modality is not prepared.reference_modality
        },
        "motion": [
            {
                "parameters": list(moved.transform.GetParameters()),
                "fixed_parameters": list(moved.transform.GetFixedParameters()),
                "before": moved.before,
                "after": moved.after,
                "displacement": moved.displacement,
                "applied": moved.applied,
            }
            for moved in prepared.motion
        ],
        "distortion": None if prepared.distortion is None else prepared.distortion.as_json(),
        "findings": [asdict(finding) for finding in findings],
    }


def described_card(card: ModelCard) -> dict[str, Any]:
    """Give a card as JSON-ready fields, without the statistics, which are long and not for reading."""
    fields = json.loads(card.to_json())
    fields.pop("statistics", None)
    return fields


def fingerprint(image: StudyImage) -> str:
    """SHA-256 of an image's voxels, geometry and b-values or timing."""
    digest = hashlib.sha256()
    parts: list[sitk.Image]
    if isinstance(image, DiffusionSeries):
        parts, extra = [image.image], repr(image.b_values)
    elif isinstance(image, AslSeries):
        parts = [image.control, image.label, image.m0]
        extra = repr((image.labelling, image.label_duration, image.post_label_delay))
    else:
        parts, extra = [image], ""
    for part in parts:
        digest.update(np.ascontiguousarray(sitk.GetArrayViewFromImage(part)).tobytes())
        geometry = (*part.GetSize(), *part.GetSpacing(), *part.GetOrigin(), *part.GetDirection())
        digest.update(repr(geometry).encode())
    digest.update(extra.encode())
    return digest.hexdigest()


def _metric(prepared: Prepared, modality: Any) -> dict[str, Any]:
    registration = prepared.registrations.get(modality)
    if registration is None:
        return {}
    return {
        "metric": "Mattes mutual information (lower is better)",
        "before": registration.before,
        "after": registration.after,
        "applied": registration.applied,
    }
