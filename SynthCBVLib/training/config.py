"""How a network is trained: patches, augmentation, schedule and the weights of the loss's parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal

from SynthCBVLib.errors import InputError

Schedule = Literal["constant", "cosine", "step"]


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Parameters
    ----------
    batch : int
        Patches a step.
    patch : tuple of int
        Size of a patch in voxels of the card's grid, (z, y, x).
    steps : int, optional
        Optimiser steps; either these or `epochs`.
    epochs : int, optional
        Times that the training set is gone through; see `total_steps`.
    learning_rate : float
        Of Adam (beta .9 and .999) at the start.
    schedule : {"cosine", "step", "constant"}
        "cosine": falls to zero along a half cosine; "step": times `step_factor` after every `step_every`
        steps.
    step_factor, step_every : float, int
        Of the schedule "step".
    warmup : int
        Steps over which the learning rate rises from zero first.
    largest_gradient : float or None
        Norm to which gradients are cut; None leaves them.
    l1_weight : float
        Weight of the location's mean absolute error.
    scale_weight : float
        Weight of the scale's Laplace likelihood.
    ssim_weight : float
        Weight of 1 - SSIM of the slices, as the similarity of maps is measured. Not in the papers.
    perceptual_weight : float
        Weight of the difference of VGG feature maps; above 0, `train` needs the VGG's file.
    perceptual_from : int
        The step from which that term counts: near the end, it is a fine-tuning at little cost.
    mask_weight : float
        Weight of the brain mask's cross-entropy, for networks with a mask decoder.
    background : float
        Weight of voxels outside the brain (inside: 1) in the mean absolute error and the likelihood.
    emphasis : float
        Voxels of much blood count more in the mean absolute error: their weight is 1 + `emphasis` times the
        square of rCBV over the map's range. Few voxels are tumour, and the median of what a voxel may hold
        reads them too low. Not in the papers.
    whole : bool
        Centre patches on the brain, which they should hold, instead of on a random voxel of it.
    rotation : float
        Largest in-plane rotation of a patch, degrees.
    zoom : float
        Largest shrink or amplification of a patch, as a fraction.
    flip : bool
        Mirror every other patch left to right.
    gain : float
        Largest change of an input's scale, as a fraction: another scanner, another maximum.
    strip : float
        Share of the patches whose inputs are set to zero outside the brain, as skull-stripped images are.
    drop : float
        Probability that an input the card does not require is left out of a patch.
    drop_evenly : bool
        Leave out any number of these inputs with the same probability instead, so that few inputs, or one
        alone, are seen as often as nearly all; `drop` does not count then. Not in the papers.
    bf16 : bool
        Compute convolutions in 16-bit floating point.
    validate_every : int
        Steps between validations and checkpoints.
    seed : int
        Of everything random in the training.

    Raises
    ------
    InputError
        If a value is out of bounds.
    """

    batch: int
    patch: tuple[int, int, int]
    steps: int | None = None
    epochs: int | None = None
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    step_factor: float = 0.8
    step_every: int = 40_000
    warmup: int = 0
    largest_gradient: float | None = 5.0
    l1_weight: float = 1.0
    scale_weight: float = 0.1
    ssim_weight: float = 0.0
    perceptual_weight: float = 0.0
    perceptual_from: int = 0
    mask_weight: float = 0.1
    background: float = 0.1
    emphasis: float = 0.0
    whole: bool = False
    rotation: float = 15.0
    zoom: float = 0.15
    flip: bool = True
    gain: float = 0.1
    strip: float = 0.25
    drop: float = 0.4
    drop_evenly: bool = False
    bf16: bool = True
    validate_every: int = 1000
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch", tuple(int(size) for size in self.patch))
        if (self.steps is None) == (self.epochs is None):
            raise InputError("training", f"steps {self.steps} and epochs {self.epochs}", "one of the two")
        if self.schedule not in ("constant", "cosine", "step"):
            raise InputError("schedule", repr(self.schedule), "cosine, step or constant")
        whole = {
            "steps": self.steps or 1 if self.steps is None else self.steps,
            "epochs": 1 if self.epochs is None else self.epochs,
            "batch": self.batch, "patch": min(self.patch), "step_every": self.step_every,
            "validate_every": self.validate_every,
        }  # fmt: skip
        for name, value in whole.items():
            if value < 1:
                raise InputError(name, str(value), "at least 1")
        if len(self.patch) != 3:
            raise InputError("patch", str(self.patch), "three sizes (z, y, x)")
        weights = (
            self.l1_weight, self.scale_weight, self.ssim_weight, self.perceptual_weight, self.mask_weight,
            self.background, self.emphasis,
        )  # fmt: skip
        if min(weights) < 0 or not math.isfinite(sum(weights)):
            raise InputError("loss weights", str(weights), "numbers of at least 0")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise InputError("learning rate", f"{self.learning_rate:g}", "a number above 0")
        if not 0 <= self.drop <= 1 or not 0 <= self.strip <= 1:
            raise InputError("drop and strip", f"{self.drop:g} and {self.strip:g}", "shares from 0 to 1")


def with_settings(config: TrainingConfig, settings: Iterable[str]) -> TrainingConfig:
    """Give the configuration with settings changed by name.

    Parameters
    ----------
    config : TrainingConfig
        The others stay.
    settings : iterable of str
        ``NAME=VALUE``: numbers, ``yes`` or ``no``, a schedule's name; a patch as ``1x96x96``.

    Raises
    ------
    InputError
        If there is no such setting, or the value is of another kind.
    """
    changed: dict[str, object] = {}
    kinds = {each.name: type(getattr(config, each.name)) for each in fields(config)}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in kinds or name in ("steps", "epochs"):
            raise InputError(f"setting {setting[:80]!r}", "no such setting", f"one of {', '.join(kinds)}")
        try:
            changed[name] = _value(kinds[name], text)
        except ValueError as error:
            raise InputError(
                f"setting {name}", repr(text[:80]), f"a value like {getattr(config, name)!r}"
            ) from error
    return replace(config, **changed)


def _value(kind: type, text: str) -> object:
    if kind is tuple:
        sizes = tuple(int(size) for size in text.split("x"))
        if len(sizes) != 3:
            raise ValueError(text)
        return sizes
    if kind is bool:
        return {"yes": True, "no": False}[text] if text in ("yes", "no") else bool(int(text))
    if kind in (int, str):
        return kind(text)
    return None if text == "none" else float(text)


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """Give the learning rate of a step.

    Parameters
    ----------
    config : TrainingConfig
        Its schedule.
    step : int
        From 0.
    steps : int
        Of the whole training.
    """
    rate = config.learning_rate
    if step < config.warmup:
        return rate * (step + 1) / config.warmup
    if config.schedule == "cosine":
        done = (step - config.warmup) / max(1, steps - config.warmup)
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    if config.schedule == "step":
        return rate * config.step_factor ** (step // config.step_every)
    return rate


def total_steps(config: TrainingConfig, slices: Iterable[int]) -> int:
    """Give the optimiser steps of a training.

    An epoch takes as many patches as are needed to go through all slices once: with patches of one slice,
    the slices of the training set; with patches that hold a whole volume, its volumes.

    Parameters
    ----------
    config : TrainingConfig
        With steps or epochs.
    slices : iterable of int
        Slices with brain of each training case.
    """
    if config.steps is not None:
        return config.steps
    patches = sum(math.ceil(n / config.patch[0]) for n in slices)
    return (config.epochs or 0) * max(1, math.ceil(patches / config.batch))
