"""Weights that know how far they are to be trusted: the evaluated models with their calibration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.training.evaluation.results import Evaluation


def write_calibrated(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the evaluated model of each workflow with the calibration that was found in its card.

    The maps of the new weights are those of the old; their uncertainty is scaled, and the interval of the
    real T/WM ratio is told.

    Parameters
    ----------
    evaluation : Evaluation
        With patients to calibrate on.
    folder : Path
        Gets a file a workflow, named as the model.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If a model would be written over itself, or no patients to calibrate on were given.
    """
    from SynthCBVLib.synthesis import load_model
    from SynthCBVLib.synthesis.model import save_model

    found = []
    for workflow in evaluation.workflows:
        main, calibration = workflow.main, workflow.calibration
        if calibration is None:
            raise InputError(
                main.label, "no patients to calibrate on", "patients that neither its training nor the "
                "evaluation saw", "Give them by --calibration-cohort or --calibration.",
            )  # fmt: skip
        path = folder / f"{main.card.name}.safetensors"
        if path.exists() and path.samefile(main.path):
            raise InputError(path, "the model itself", "another folder for the calibrated one")
        model = load_model(main.path)
        card = dataclasses.replace(model.card, calibration=calibration.as_card())
        found.append((path, model.network, card))
    return [save_model(path, network, card) for path, network, card in found]
