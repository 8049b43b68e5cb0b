"""The model card: all that is needed to run a network on a study, and to judge its result.

It travels as JSON in the metadata of the weights file. IVIM and ASL differ in their cards alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.networks import NETWORKS
from SynthCBVLib.synthesis.calibration import check_calibration
from SynthCBVLib.synthesis.normalisation import NORMALISATIONS
from SynthCBVLib.synthesis.novelty import check_statistics

#: Maps that an input can be derived to, and the image they are derived from.
DERIVED: dict[str, Modality] = {"ivim-f": Modality.DWI}
#: Entry that a weights file adds to its card's text.
CHECKSUM = "tensors_sha256"


@dataclass(frozen=True)
class InputSpec:
    """One input of a network.

    Parameters
    ----------
    modality : Modality
        The kind of image.
    normalisation : str
        A key of `NORMALISATIONS`.
    required : bool
        Whether the network can do without it.
    b_values : tuple of float
        For DWI, the b-values (s/mm²) in channel order; empty otherwise.
    derived : str
        A map computed from the image that stands for it, one of `DERIVED`; "" takes the image itself.
    """

    modality: Modality
    normalisation: str
    required: bool = True
    b_values: tuple[float, ...] = ()
    derived: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(self.modality))
        object.__setattr__(self, "b_values", tuple(float(b) for b in self.b_values))
        _check_normalisation(self.normalisation)
        if (self.modality is Modality.DWI) != bool(self.b_values):
            raise ValueError(f"b_values {list(self.b_values)} for {self.modality}")
        if self.derived and DERIVED.get(self.derived) is not self.modality:
            raise ValueError(f"{self.derived!r} derived from {self.modality}: one of {dict(DERIVED)}")

    @property
    def channels(self) -> int:
        """Number of channels: one for each b-value, else one."""
        return 1 if self.derived else max(1, len(self.b_values))


@dataclass(frozen=True)
class OutputSpec:
    """The output of a network: what it is and in which unit.

    Parameters
    ----------
    quantity : str
        "rCBV".
    normalisation : str
        How the real maps were normalised in training; the unit of the synthetic map.
    """

    quantity: str
    normalisation: str

    def __post_init__(self) -> None:
        _check_normalisation(self.normalisation)

    @property
    def unit(self) -> str:
        """Unit of the map in words."""
        return NORMALISATIONS[self.normalisation].unit


@dataclass(frozen=True)
class ModelCard:
    """Model card.

    Parameters
    ----------
    name, version : str
        Of the model.
    network : str
        A key of `SynthCBVLib.networks.NETWORKS`.
    network_arguments : Mapping
        Its constructor's arguments.
    inputs : tuple of InputSpec
        In channel order.
    reference : tuple of Modality
        The image whose grid the map gets: the first of these that the study has.
    spacing : tuple of (float or None)
        Voxel size in mm (left-right, front-back, foot-head) at which the network works; None keeps the
        reference's.
    output : OutputSpec
        The map.
    training : Mapping
        Data, steps, time, in plain words and figures.
    training_data : str
        One sentence for the panel and the report.
    metrics : Mapping
        Measured on the validation cases, which no training step saw but which chose the checkpoint.
    licence, intended_use : str
        Plain words.
    calibration : Mapping
        What validation patients say of the uncertainty (`SynthCBVLib.synthesis.calibration`); may be empty.
    statistics : Mapping
        What the training's inputs look like (`SynthCBVLib.synthesis.novelty`); may be empty.
    mirrored : bool
        The map is the mean of the study's and of its mirror image's, left and right exchanged: for networks
        that learnt from mirrored patches.
    """

    name: str
    version: str
    network: str
    network_arguments: Mapping[str, Any]
    inputs: tuple[InputSpec, ...]
    reference: tuple[Modality, ...]
    spacing: tuple[float | None, float | None, float | None]
    output: OutputSpec
    training_data: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    intended_use: str = "Research demonstration, not for diagnosis."
    calibration: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    mirrored: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "reference", tuple(Modality(m) for m in self.reference))
        object.__setattr__(self, "spacing", tuple(None if s is None else float(s) for s in self.spacing))
        modalities = [spec.modality for spec in self.inputs]
        if not modalities or len(set(modalities)) != len(modalities):
            raise ValueError(f"inputs {modalities}: at least one, none twice")
        if not self.reference or not set(self.reference) <= set(modalities):
            raise ValueError(f"reference {list(self.reference)}: one or more of the inputs")
        if len(self.spacing) != 3 or any(s is not None and not 0.1 <= s <= 20 for s in self.spacing):
            raise ValueError(f"spacing {self.spacing}: three sizes of 0.1 to 20 mm, or null")
        if self.network not in NETWORKS:
            raise ValueError(f"network {self.network!r}: one of {', '.join(NETWORKS)}")
        if not isinstance(self.mirrored, bool):
            raise ValueError(f"mirrored {self.mirrored!r}: true or false")
        check_calibration(self.calibration)
        check_statistics(self.statistics)

    @property
    def channels(self) -> int:
        """Number of channels of all inputs together."""
        return sum(spec.channels for spec in self.inputs)

    def to_json(self) -> str:
        """Give the card as JSON text."""
        fields = dataclasses.asdict(self)
        for name in ("calibration", "statistics", "mirrored"):  # a card without them reads as older ones do
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = "model card") -> ModelCard:
        """Read a card.

        Parameters
        ----------
        text : str
            JSON text.
        where : str
            The file it came from, for messages.

        Raises
        ------
        InputError
            If the text is not JSON, or fields are missing, unknown or out of bounds.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise ValueError(f"a {type(data).__name__} instead of an object")
            data.pop(CHECKSUM, None)  # of the file, see `SynthCBVLib.synthesis.model`
            data["inputs"] = tuple(InputSpec(**entry) for entry in data["inputs"])
            data["output"] = OutputSpec(**data["output"])
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                where, f"no usable model card ({type(error).__name__}: {error})", "a SynthCBV model's card"
            ) from error


def _check_normalisation(name: str) -> None:
    if name not in NORMALISATIONS:
        raise ValueError(f"normalisation {name!r} is not one of {', '.join(NORMALISATIONS)}")


def is_finite_tree(value: Any) -> bool:
    """Tell whether all numbers in nested dicts and lists are finite."""
    if isinstance(value, Mapping):
        return all(is_finite_tree(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_finite_tree(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
