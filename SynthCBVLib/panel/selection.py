"""What the user chose in the Study section, as nodes of a study."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.scene import AslNodes, study_from_nodes

if TYPE_CHECKING:
    import slicer


class Workflow(enum.Enum):
    """The two ways to an rCBV map; the value is the name of the bundled model."""

    IVIM = "ivim"
    ASL = "asl"

    def label(self) -> str:
        """Name in the panel."""
        return {"ivim": "IVIM (multi-b DWI + T2w)", "asl": "ASL (CBF + structural MRI)"}[self.value]


#: Modality -> name of its parameter, for each workflow, required ones first.
REQUIRED: Mapping[Workflow, Mapping[Modality, str]] = {
    Workflow.IVIM: {Modality.DWI: "dwi", Modality.T2W: "t2w"},
    Workflow.ASL: {Modality.T1W: "t1w", Modality.CBF: "cbf"},
}
OPTIONAL: Mapping[Workflow, Mapping[Modality, str]] = {
    Workflow.IVIM: {},
    Workflow.ASL: {Modality.T2W: "t2w", Modality.FLAIR: "flair", Modality.ADC: "adc", Modality.T1C: "t1c"},
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
        if self.workflow is Workflow.ASL and str(Modality.CBF) in names:
            names.remove(str(Modality.CBF))
            if self.asl is None:
                names.append("CBF (or control, label and M0)")
        return names

    def study(self, subject: str = "01") -> Study:
        """Copy the chosen nodes into a study.

        Raises
        ------
        InputError
            If something is missing or cannot be used.
        """
        missing = self.missing()
        if missing:
            raise InputError("Study", f"no {' and no '.join(missing)}", "all required volumes",
                             "Choose them in the Study section.")  # fmt: skip
        return study_from_nodes(subject, self.nodes, self.b_values, self.asl)


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
    rows = {**REQUIRED[workflow], **OPTIONAL[workflow]}
    nodes = {modality: getattr(parameters, name) for modality, name in rows.items()}
    nodes = {modality: node for modality, node in nodes.items() if node is not None}
    if workflow is Workflow.IVIM:
        return Selection(workflow, nodes, parse_b_values(parameters.bValues))
    parts = [getattr(parameters, name) for name in ASL_PARTS]
    asl = None
    if Modality.CBF not in nodes and all(part is not None for part in parts):
        asl = AslNodes(
            *parts,
            labelling=parameters.labelling,
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
