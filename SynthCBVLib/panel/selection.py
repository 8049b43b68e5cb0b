"""What the user chose in the panel, as a request for the worker."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.panel.requests import SynthesisRequest
from SynthCBVLib.scene import AslNodes
from SynthCBVLib.worker.alignment import Alignment

if TYPE_CHECKING:
    import slicer


class Workflow(enum.Enum):
    """The two ways to an rCBV map; the value is the name of the bundled model."""

    IVIM = "ivim"
    ASL = "asl"

    def label(self) -> str:
        """Name in the panel."""
        from slicer.i18n import tr as _

        return _("IVIM (multi-b DWI + T2w)") if self is Workflow.IVIM else _("ASL (CBF + structural MRI)")


class ModelChoice(enum.Enum):
    """Where the model comes from."""

    BUNDLED = "bundled"
    FILE = "file"

    def label(self) -> str:
        """Name in the panel."""
        from slicer.i18n import tr as _

        return _("Bundled with SynthCBV") if self is ModelChoice.BUNDLED else _("From a weights file")


class Device(enum.Enum):
    """Where the map is computed; the value is that of `synthesize`."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self) -> str:
        """Name in the panel."""
        from slicer.i18n import tr as _

        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("Processor (CPU)"),
            Device.CUDA: _("NVIDIA graphics card (CUDA)"),
            Device.MPS: _("Apple graphics (MPS)"),
        }[self]


class Method(enum.Enum):
    """How images are registered; the value is that of `Alignment`."""

    RIGID = "rigid"
    AFFINE = "affine"
    KEEP = "keep"

    def label(self) -> str:
        """Name in the panel."""
        from slicer.i18n import tr as _

        return {
            Method.RIGID: _("Rigid (move and turn)"),
            Method.AFFINE: _("Affine (also scale and shear)"),
            Method.KEEP: _("None (keep the positions of the files)"),
        }[self]


class Labelling(enum.Enum):
    """How blood was labelled; the value is that of `AslNodes`."""

    PCASL = "pcasl"
    PASL = "pasl"

    def label(self) -> str:
        """Name in the panel."""
        from slicer.i18n import tr as _

        return _("Pseudo-continuous (pCASL)") if self is Labelling.PCASL else _("Pulsed (PASL)")


class Reference(enum.Enum):
    """The image that the others are brought to; the value is that of `Alignment`."""

    AUTOMATIC = ""
    T1W = "T1w"
    T2W = "T2w"
    FLAIR = "FLAIR"
    T1C = "T1c"
    ADC = "ADC"
    CBF = "CBF"
    DWI = "DWI"

    def label(self) -> str:
        """Name in the panel."""
        from slicer.i18n import tr as _

        return self.value or _("Automatic")


#: Modality -> name of its parameter, in the order of the panel's rows.
PARAMETERS: Mapping[Modality, str] = {
    Modality.DWI: "dwi", Modality.T1W: "t1w", Modality.CBF: "cbf", Modality.T2W: "t2w",
    Modality.FLAIR: "flair", Modality.ADC: "adc", Modality.T1C: "t1c",
}  # fmt: skip
#: What each workflow looks at, and what it cannot do without.
USED: Mapping[Workflow, tuple[Modality, ...]] = {
    Workflow.IVIM: (Modality.DWI, Modality.T2W),
    Workflow.ASL: (
        Modality.T1W, Modality.CBF, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C,
    ),
}  # fmt: skip
REQUIRED: Mapping[Workflow, tuple[Modality, ...]] = {
    Workflow.IVIM: (Modality.DWI, Modality.T2W),
    Workflow.ASL: (Modality.T1W, Modality.CBF),
}
#: Parameters of control, label and M0, which stand for CBF together.
ASL_PARTS = ("aslControl", "aslLabel", "aslM0")


@dataclass(frozen=True)
class Selection:
    """A workflow's chosen nodes.

    Parameters
    ----------
    workflow : Workflow
        Decides the model.
    nodes : Mapping
        Node of each chosen modality.
    b_values : tuple of float or None
        As typed, s/mm²; None leaves them to the node.
    asl : AslNodes or None
        Control, label and M0, where no CBF map is chosen.
    """

    workflow: Workflow
    nodes: Mapping[Modality, slicer.vtkMRMLNode]
    b_values: tuple[float, ...] | None = None
    asl: AslNodes | None = None

    def missing(self) -> list[str]:
        """Name what the workflow cannot do without and is not chosen."""
        names = [str(modality) for modality in REQUIRED[self.workflow] if modality not in self.nodes]
        if str(Modality.CBF) in names:
            names.remove(str(Modality.CBF))
            if self.asl is None:
                names.append("CBF (or control, label and M0)")
        return names

    def request(self, parameters: Any) -> SynthesisRequest:
        """Make the request to synthesise.

        Parameters
        ----------
        parameters : SynthCBVParameterNode
            Has the choices of the other sections.

        Raises
        ------
        InputError
            If something is missing, or a weights file is wanted and none is chosen.
        """
        missing = self.missing()
        if missing:
            raise InputError("Study", f"no {' and no '.join(missing)}", "all required volumes",
                             "Choose them in the Study section.")  # fmt: skip
        return SynthesisRequest(
            self.nodes, model_of(parameters), parameters.outputName.strip() or "SynthCBV", self.b_values,
            self.asl, parameters.device.value,
            Alignment(
                parameters.registration.value, parameters.reference.value,
                parameters.distortion and self.workflow is Workflow.IVIM,
            ),
        )  # fmt: skip


def model_of(parameters: Any) -> str:
    """Give the model as `load_model` takes it.

    Raises
    ------
    InputError
        If a weights file is wanted and none is chosen.
    """
    if parameters.model is ModelChoice.BUNDLED:
        return parameters.workflow.value
    if not parameters.weightsFile:
        raise InputError("Model", "no weights file", "a .safetensors file",
                         "Choose it in the Synthesis section, or take the bundled model.")  # fmt: skip
    return parameters.weightsFile


def selection_from(parameters: Any) -> Selection:
    """Read the selection from the module's parameter node.

    Parameters
    ----------
    parameters : SynthCBVParameterNode
        Has an attribute for each parameter named in this file.

    Raises
    ------
    InputError
        If the b-values are no numbers.
    """
    workflow = parameters.workflow
    nodes = {modality: getattr(parameters, PARAMETERS[modality]) for modality in USED[workflow]}
    nodes = {modality: node for modality, node in nodes.items() if node is not None}
    if workflow is Workflow.IVIM:
        return Selection(workflow, nodes, parse_b_values(parameters.bValues))
    parts = [getattr(parameters, name) for name in ASL_PARTS]
    asl = None
    if Modality.CBF not in nodes and all(part is not None for part in parts):
        asl = AslNodes(
            *parts,
            labelling=parameters.labelling.value,
            label_duration=parameters.labelDuration or None,
            post_label_delay=parameters.postLabelDelay or None,
        )
    return Selection(workflow, nodes, None, asl)


def parse_b_values(text: str) -> tuple[float, ...] | None:
    """Read b-values as typed, separated by spaces, commas or semicolons; None if there are none.

    Raises
    ------
    InputError
        If an entry is not a number.
    """
    entries = [entry for entry in re.split(r"[\s,;]+", text.strip()) if entry]
    try:
        return tuple(float(entry) for entry in entries) or None
    except ValueError:
        raise InputError(
            "b-values", repr(text), "numbers in s/mm² separated by spaces, such as 0 50 100 1000"
        ) from None
