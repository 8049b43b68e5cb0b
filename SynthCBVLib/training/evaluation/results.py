"""What an evaluation holds: who competed, on whom, and every score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.evaluation.calibration import Calibration
from SynthCBVLib.training.evaluation.scoring import ALL, Score
from SynthCBVLib.training.evaluation.subjects import Subject

#: Parts of a group's name by which a cohort after treatment is known.
_AFTER_TREATMENT = ("recur", "respon", "necrosis")


@dataclass(frozen=True)
class Contender:
    """A model or a baseline.

    Attributes
    ----------
    label : str
        Unique name in the tables.
    card : ModelCard
        Its inputs, network and training.
    path : Path
        Weights or baseline.
    sha256 : str
        Of the weights, or of all that decides the baseline.
    baseline : str
        "ridge" or "mlp"; empty for a network.
    """

    label: str
    card: ModelCard
    path: Path
    sha256: str
    baseline: str = ""

    @property
    def inputs(self) -> str:
        """Inputs in short, as the papers write them: "10b+T2w", "f+T2w", "CBF+T1w+...+T1c"."""
        return inputs_in_short(self.card)

    @property
    def parts(self) -> tuple[int, ...]:
        """Optimiser steps of each part of the training, as planned; empty where the card does not say."""
        told = self.card.training
        configs = [each.get("config", {}) for each in (*told.get("earlier", ()), told)]
        steps = [config.get("steps") for config in configs]
        return tuple(steps) if all(steps) else ()


@dataclass(frozen=True)
class Patient:
    """What of an exam no model changes.

    Attributes
    ----------
    subject : Subject
        Who.
    ratios : Mapping
        "real", "f", "cbf" -> T/WM ratio, as far as there is one.
    notes : tuple of str
        What was noticed.
    seconds : float
        CPU time of the preparation for the workflow's first model.
    """

    subject: Subject
    ratios: Mapping[str, float]
    notes: tuple[str, ...] = ()
    seconds: float = math.nan

    def ratio(self, name: str) -> float:
        """Give a ratio, NaN where there is none."""
        return float(self.ratios.get(name, math.nan))


@dataclass(frozen=True, eq=False)
class Workflow:
    """All models that start from the same kind of study.

    Attributes
    ----------
    name : str
        "IVIM" or "ASL".
    contenders : tuple of Contender
        The first is the one that is evaluated; the others are what it is compared with.
    patients : tuple of Patient
        The cohort.
    scores : Mapping
        Label -> subject's name -> combination -> score.
    treated : tuple of Patient
        Patients after treatment, whose recurrence is to be told from response.
    treated_scores : Mapping
        Subject's name -> score of the first contender.
    calibration : Calibration or None
        Of the first contender, from other patients.
    """

    name: str
    contenders: tuple[Contender, ...]
    patients: tuple[Patient, ...]
    scores: Mapping[str, Mapping[str, Mapping[str, Score]]]
    treated: tuple[Patient, ...] = ()
    treated_scores: Mapping[str, Score] = field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def main(self) -> Contender:
        """The model that is evaluated."""
        return self.contenders[0]

    def groups(self) -> list[str]:
        """Give the groups of the cohort, in the order met."""
        return list(dict.fromkeys(p.subject.group for p in self.patients if p.subject.group is not None))

    def of_group(self, group: str | None) -> list[Patient]:
        """Give the patients of a group; None gives all."""
        return [p for p in self.patients if group is None or p.subject.group == group]

    def score(self, label: str, patient: Patient, combination: str = ALL) -> Score | None:
        """Give a score, None where the patient could not be scored."""
        return self.scores.get(label, {}).get(patient.subject.name, {}).get(combination)

    def values(self, what: str, label: str, combination: str = ALL, group: str | None = None) -> np.ndarray:
        """Give one number of each patient (n,), NaN where there is none: "ssim", "psnr", "ratio"."""
        found = [self.score(label, patient, combination) for patient in self.of_group(group)]
        return np.array([math.nan if one is None else getattr(one, what) for one in found], dtype=float)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation.

    Attributes
    ----------
    workflows : tuple of Workflow
        IVIM, ASL, as far as there are models.
    refused : Mapping
        What was wrong with the exams that were left out, by name.
    command : str
        That made it.
    cohort : str
        Who was evaluated on, in words.
    calibration : str
        Who the calibration comes from, in words.
    digital : bool
        Whether all patients are digital.
    """

    workflows: tuple[Workflow, ...]
    refused: Mapping[str, str]
    command: str
    cohort: str
    calibration: str
    digital: bool


def inputs_in_short(card: ModelCard) -> str:
    """Give a card's inputs as the papers write them."""
    names = []
    for spec in card.inputs:
        if spec.derived:
            names.append(spec.derived.removeprefix("ivim-"))
        else:
            names.append(f"{len(spec.b_values)}b" if spec.modality is Modality.DWI else spec.modality.value)
    return "+".join(names)


def workflow_of(card: ModelCard) -> str:
    """Tell which kind of study a card starts from."""
    return "IVIM" if any(spec.modality is Modality.DWI for spec in card.inputs) else "ASL"


def after_treatment(group: str | None) -> bool:
    """Tell whether a group is one of patients after treatment."""
    return group is not None and any(part in group.lower() for part in _AFTER_TREATMENT)
