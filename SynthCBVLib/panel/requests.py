"""What the panel asks the worker for: a synthesis, or a digital patient."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.panel.dependencies import missing_packages_told
from SynthCBVLib.panel.jobs import Finished, Noticed
from SynthCBVLib.progress import Progress
from SynthCBVLib.scene import AslNodes, SynthesisNodes, add_synthesis, current_scene
from SynthCBVLib.scene.patient import PatientNodes, PreparedPatient, prepare_patient, show_patient
from SynthCBVLib.scene.results import PreparedMaps, prepare_maps, show_maps
from SynthCBVLib.scene.series import copy_study, study_from_nodes
from SynthCBVLib.worker.alignment import Alignment
from SynthCBVLib.worker.handover import read_volumes
from SynthCBVLib.worker.study import HandedStudy

if TYPE_CHECKING:
    import slicer

#: Label that studies of the scene get; they carry no patient's name.
SUBJECT = "01"


@dataclass(frozen=True)
class SynthesisRequest:
    """What to synthesise; a `Work` for the worker.

    Parameters
    ----------
    nodes : Mapping
        Node of each modality at hand, as for `study_from_nodes`.
    model : str
        Bundled model ("ivim", "asl") or the path of a weights file.
    name : str
        Stands before the names of the nodes that are made.
    b_values : sequence of float, optional
        Of the DWI, s/mm²; those of its node by default.
    asl : AslNodes, optional
        Control, label and M0, instead of a CBF map.
    device : str
        "auto", "cpu", "cuda" or "mps".
    alignment : Alignment
        Reference image and registration.
    """

    nodes: Mapping[Modality, slicer.vtkMRMLNode]
    model: str
    name: str
    b_values: Sequence[float] | None = None
    asl: AslNodes | None = None
    device: str = "auto"
    alignment: Alignment = field(default_factory=Alignment)

    def study(self) -> Study:
        """Copy the nodes into a study."""
        return study_from_nodes(SUBJECT, self.nodes, self.b_values, self.asl)

    def copy(self) -> Generator[None, None, HandedStudy]:
        """Copy the nodes' voxels."""
        return copy_study(SUBJECT, self.nodes, self.b_values, self.asl)

    def write(self, copied: HandedStudy, folder: Path) -> dict[str, Any]:
        """Write the study and give the job."""
        copied.write(folder / "study")
        return {
            "task": "synthesize", "study": str(folder / "study"), "model": self.model, "device": self.device,
            "alignment": asdict(self.alignment),
        }  # fmt: skip

    def read(self, event: Finished, findings: Sequence[Noticed]) -> PreparedMaps:
        """Read the maps."""
        volumes, more = read_volumes(event.files["maps"].parent)
        return prepare_maps(volumes, more["windows"], more["provenance"], findings)

    def show(self, read: PreparedMaps) -> Generator[None, None, SynthesisNodes]:
        """Put the maps into the scene."""
        return (yield from show_maps(read, free_name(self.name), inputs=self._inputs()))

    def here(self, progress: Progress | None = None) -> SynthesisNodes:
        """Synthesise in this process and put the maps into the scene; blocks until done.

        Raises
        ------
        InputError
            If the study cannot serve the model, or packages are missing.
        """
        from SynthCBVLib.synthesis import load_model
        from SynthCBVLib.worker.alignment import synthesize_aligned

        study = self.study()
        with missing_packages_told():
            result = synthesize_aligned(study, load_model(self.model), self.device, self.alignment, progress)
        return add_synthesis(result, free_name(self.name), inputs=self._inputs())

    def _inputs(self) -> dict[str, slicer.vtkMRMLNode]:
        """Give the node of each modality that is one node."""
        inputs = {
            str(modality): node for modality, node in self.nodes.items() if not isinstance(node, Sequence)
        }
        if self.asl is not None:
            inputs[str(Modality.CBF)] = self.asl.control
        return inputs


@dataclass(frozen=True)
class PatientRequest:
    """A digital patient to simulate; a `Work` for the worker.

    Parameters
    ----------
    workflow : str
        "ivim" or "asl": decides the images.
    seed : int
        Which patient, 0 or more.
    """

    workflow: str
    seed: int

    def copy(self) -> Generator[None, None, None]:
        """Need nothing of the scene."""
        yield from ()

    def write(self, copied: None, folder: Path) -> dict[str, Any]:
        """Give the job."""
        return {"task": "simulate", "workflow": self.workflow, "seed": str(self.seed)}

    def read(self, event: Finished, findings: Sequence[Noticed]) -> PreparedPatient:
        """Read the images."""
        return prepare_patient(*read_volumes(event.files["patient"].parent))

    def show(self, read: PreparedPatient) -> Generator[None, None, PatientNodes]:
        """Put the images into the scene."""
        return show_patient(read, f"Digital {self.seed}")


def free_name(name: str) -> str:
    """Give a name for new maps that no older maps of the scene have: "name", "name 2", ..."""
    scene, number, free = current_scene(), 1, name
    while scene.GetFirstNodeByName(f"{free} synthetic rCBV") is not None:
        number += 1
        free = f"{name} {number}"
    return free
