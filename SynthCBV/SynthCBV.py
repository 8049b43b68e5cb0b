"""SynthCBV: rCBV maps synthesised from IVIM or ASL MRI, as a module of 3D Slicer."""

import importlib.util
import sys
import unittest
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Union

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLPlotChartNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

REPOSITORY = Path(__file__).resolve().parent.parent
if importlib.util.find_spec("SynthCBVLib") is None:  # developer mode: the library lies beside this folder
    sys.path.insert(0, str(REPOSITORY))

from SynthCBVLib.errors import InputError  # noqa: E402
from SynthCBVLib.imaging.study import Modality  # noqa: E402
from SynthCBVLib.panel import sample_data  # noqa: E402
from SynthCBVLib.panel.agreement import AgreementSection  # noqa: E402
from SynthCBVLib.panel.analysis import AnalysisLogic  # noqa: E402
from SynthCBVLib.panel.background import Listener, Work, failure_of  # noqa: E402
from SynthCBVLib.panel.dependencies import ensure_packages  # noqa: E402
from SynthCBVLib.panel.layout import LayoutSwitch  # noqa: E402
from SynthCBVLib.panel.patient import PatientLoader, choose_patient, patient_request  # noqa: E402
from SynthCBVLib.panel.processes import Launcher, launch_in_slicer  # noqa: E402
from SynthCBVLib.panel.regions import RegionsSection  # noqa: E402
from SynthCBVLib.panel.registration import RegistrationSection  # noqa: E402
from SynthCBVLib.panel.requests import SynthesisRequest  # noqa: E402
from SynthCBVLib.panel.runner import Runner  # noqa: E402
from SynthCBVLib.panel.selection import (  # noqa: E402
    Device,
    Labelling,
    Method,
    ModelChoice,
    Reference,
    Workflow,
    selection_from,
)
from SynthCBVLib.panel.study import StudySection  # noqa: E402
from SynthCBVLib.panel.synthesis import SynthesisSection  # noqa: E402
from SynthCBVLib.panel.ticker import Ticker  # noqa: E402
from SynthCBVLib.progress import Progress  # noqa: E402
from SynthCBVLib.scene import (  # noqa: E402
    AslNodes,
    SynthesisNodes,
    add_regions,
    fit_ivim,
    image_to_volume,
    quantify_asl,
    quantify_dsc,
)
from SynthCBVLib.scene.layout import register_layouts  # noqa: E402
from SynthCBVLib.scene.patient import PatientNodes  # noqa: E402
from SynthCBVLib.scene.results import reference_of  # noqa: E402
from SynthCBVLib.worker.alignment import Alignment  # noqa: E402

#: The ways in which Slicer holds images of several b-values. A module of Slicer's own brings the second-last,
#: and may be loaded after this one.
DIFFUSION_CLASSES = (
    "vtkMRMLDiffusionWeightedVolumeNode",
    "vtkMRMLVectorVolumeNode",
    "vtkMRMLMultiVolumeNode",
    "vtkMRMLSequenceNode",
)
#: All volumes are scalar ones to Python; the selector offers those of the classes above.
#: parameterNodeWrapper wants None among the alternatives of a node, and typing.Union.
DiffusionNode = Union[vtkMRMLScalarVolumeNode, vtkMRMLSequenceNode, None]  # noqa: UP007
RegionsNode = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007


class SynthCBV(ScriptedLoadableModule):
    """The module as Slicer lists it."""

    def __init__(self, parent: object) -> None:
        super().__init__(parent)
        self.parent.title = _("SynthCBV")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["SynthCBV developers"]
        self.parent.helpText = _(
            "<p>Computes a map of relative cerebral blood volume (rCBV) from images taken without contrast "
            "agent: diffusion MRI with many b-values and T2w (IVIM), or arterial spin labelling and "
            "structural MRI (ASL). It shows where the network is unsure, and compares tumour with white "
            "matter.</p>"
            "<p><b>Research demonstration, not for diagnosis.</b> The bundled weights were trained on "
            "digital patients, not on people. A synthetic map does not replace perfusion MRI with contrast "
            "agent.</p>"
            "<p>Steps: choose the volumes, click Apply, click Propose regions, look at the outline of the "
            "tumour and at the regions, and read the ratio of tumour to white matter.</p>"
        )
        # Other modules and the layout node are there only then.
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", registerLayouts)
        self.parent.acknowledgementText = _(
            "The IVIM workflow follows L. Wang, Z. Xing, C. Cai, Z. Chen, D. Cao, S. Cai: DSC-MRI derived "
            "relative CBV maps synthesized from IVIM-MRI data. The ASL workflow follows the work on "
            "synthesis of CBV maps from arterial spin labeling and standard MRI with a three-dimensional "
            "incrementable encoder-decoder network (IEDN). The README gives the references in full."
        )


def registerSampleData() -> None:
    """Offer digital patients in the Sample Data module."""

    def loaded(workflow: Workflow, nodes: PatientNodes) -> None:
        parameters = SynthCBVLogic().getParameterNode()
        parameters.workflow = workflow
        choose_patient(parameters, nodes)

    sample_data.register(Path(__file__).parent / "Resources" / "Icons", loaded)


def registerLayouts() -> None:
    """Make our layouts known: a saved scene may ask for them before the panel is opened."""
    register_layouts()


def _nothing(caller: object, event: object) -> None:
    """Observe a node and do nothing."""


@parameterNodeWrapper
class SynthCBVParameterNode:
    """All choices of the panel; saved with the scene."""

    workflow: Workflow = Workflow.IVIM
    dwi: DiffusionNode
    bValues: str = ""
    t1w: vtkMRMLScalarVolumeNode
    t2w: vtkMRMLScalarVolumeNode
    flair: vtkMRMLScalarVolumeNode
    adc: vtkMRMLScalarVolumeNode
    t1c: vtkMRMLScalarVolumeNode
    cbf: vtkMRMLScalarVolumeNode
    aslControl: vtkMRMLScalarVolumeNode
    aslLabel: vtkMRMLScalarVolumeNode
    aslM0: vtkMRMLScalarVolumeNode
    labelling: Labelling = Labelling.PCASL
    labelDuration: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    postLabelDelay: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    seed: Annotated[int, WithinRange(0, 999999)] = 1
    reference: Reference = Reference.AUTOMATIC
    registration: Method = Method.RIGID
    distortion: bool = False
    model: ModelChoice = ModelChoice.BUNDLED
    weightsFile: str = ""
    device: Device = Device.AUTO
    outputName: str = "SynthCBV"
    regions: RegionsNode
    syntheticMap: vtkMRMLScalarVolumeNode
    realMap: vtkMRMLScalarVolumeNode
    fractionMap: vtkMRMLScalarVolumeNode
    ratioTable: vtkMRMLTableNode
    subject: str = ""
    group: str = ""
    cohort: vtkMRMLTableNode
    positiveGroup: str = ""
    plot: vtkMRMLPlotChartNode
    showSubjects: bool = False


class SynthCBVWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: wires its sections to the parameter node and to the logic."""

    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: SynthCBVLogic | None = None
        self._parameterNode: SynthCBVParameterNode | None = None
        self._parameterNodeGuiTag = None
        self._boundBeforeImport = False
        self._again: Ticker | None = None
        self._preparing = False  # packages are being installed for a synthesis

    def setup(self) -> None:
        """Build the panel when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SynthCBV.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = SynthCBVLogic()
        self.layoutSwitch = LayoutSwitch()
        self.studySection = StudySection(self.ui)
        self.patientLoader = PatientLoader(self.ui, self.onPatientEnded)
        self.registrationSection = RegistrationSection(self.ui, self.layoutSwitch)
        self.synthesisSection = SynthesisSection(self.ui, self.onSynthesisEnded)
        self.regionsSection = RegionsSection(
            self.ui, self.logic, lambda: self._parameterNode, self.ensureFigurePackages
        )
        self.agreementSection = AgreementSection(
            self.ui, self.logic, lambda: self._parameterNode, self.ensureFigurePackages
        )
        self.ui.patientButton.clicked.connect(self.onPatient)
        self.ui.applyButton.clicked.connect(self.onApply)
        self.ui.cancelButton.clicked.connect(self.onCancel)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        register_layouts()
        # After a reload Slicer does not call enter(); a widget alone has no such property.
        if getattr(self.parent, "isEntered", False):
            self.enter()
        else:
            self.initializeParameterNode()

    def cleanup(self) -> None:
        """End what runs when the module is unloaded or Slicer closes."""
        if self.logic is not None:
            self.logic.cancel()
            self.logic.cancelAnalysis()
            self.regionsSection.exit()
            self.regionsSection.editor.detach()
            self.layoutSwitch.stop()
            self.registrationSection.forget()
        self.updateAgain(False)
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Connect to the scene when the user opens the module."""
        self.agreementSection.enter()
        self.initializeParameterNode()
        self.regionsSection.enter()

    def exit(self) -> None:
        """Leave the scene alone while another module is open; a synthesis goes on."""
        self.regionsSection.exit()
        self.setParameterNode(None)

    def onReload(self) -> None:
        """Reload the module together with its library (developer mode)."""
        for name in [name for name in sys.modules if name.split(".")[0] == "SynthCBVLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller: object, event: object) -> None:
        """End a synthesis whose scene goes away."""
        if self.logic.running or self._preparing:
            self.onCancel()
        self.logic.cancelAnalysis(waitForCompletion=False)
        self.layoutSwitch.stop()
        self.registrationSection.forget()
        self.regionsSection.close()
        self.agreementSection.close()
        self.updateAgain(False)
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: object, event: object) -> None:
        """Start afresh with the empty scene."""
        if self.parent.isEntered:
            self.enter()

    def onSceneStartImport(self, caller: object, event: object) -> None:
        """Let go of the scene while it is read.

        Slicer's node selectors list all nodes anew after that: they choose none for a moment, which must not
        reach the parameter node. A wrapper of the parameter node keeps what it saw of nodes half read.
        """
        self._boundBeforeImport = self._parameterNode is not None
        self.setParameterNode(None)

    def onSceneEndImport(self, caller: object, event: object) -> None:
        """Follow a scene that was read: its nodes came one after the other, and its views are its own."""
        self.registrationSection.release()
        if self._boundBeforeImport:
            self.agreementSection.enter()
            self.initializeParameterNode()
            self.updateAgain(True)  # the Segment Editor chooses its segmentation anew after this event

    def updateAgain(self, soon: bool) -> None:
        """Bring all sections up to date in the next turn of the event loop, or not any more."""
        if self._again is not None:
            self._again.stop()
        self._again = Ticker(lambda: bool(self.update()), 0) if soon else None

    def initializeParameterNode(self) -> None:
        """Take the parameter node of the scene, made if there is none."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: SynthCBVParameterNode | None) -> None:
        """Bind the panel to a parameter node, or to none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.ui.dwiSelector.setProperty("nodeTypes", list(DIFFUSION_CLASSES))  # else all volumes
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
            self.update()

    def update(self, caller: object = None, event: object = None) -> None:
        """Bring all sections up to date with the parameter node."""
        if self._parameterNode is None:
            return
        ready = self.studySection.update(self._parameterNode)
        running = self.logic.running or self._preparing
        self.patientLoader.update(running)
        self.registrationSection.update(self._parameterNode)
        self.synthesisSection.update(self._parameterNode, ready, running)
        self.regionsSection.update(self._parameterNode)
        self.agreementSection.update(self._parameterNode)

    def onPatient(self) -> None:
        """Simulate a digital patient in a worker process, or stop doing so."""
        if self.patientLoader.busy:
            self.onCancel()
            return
        self.patientLoader.started()
        try:
            self.logic.start(patient_request(self._parameterNode), self.patientLoader)
        except Exception as error:  # shown in the panel; Qt would only print it
            self.patientLoader.failed(failure_of(error))
        self.update()

    def onPatientEnded(self, nodes: PatientNodes | None) -> None:
        """Select and show the new volumes, if there are any."""
        if nodes is None:
            self.update()
            return
        self.registrationSection.forget()
        choose_patient(self._parameterNode or self.logic.getParameterNode(), nodes)  # which updates
        self.layoutSwitch.show_everywhere(next(iter(nodes.images.values())))

    def ensureFigurePackages(self) -> None:
        """Install what proposals, likeness and figures need, if it is missing, with the user's consent."""
        self.logic.installPackages(torch=False)

    def onApply(self) -> None:
        """Synthesise in a worker process."""
        parameters = self._parameterNode
        self.synthesisSection.started()
        self._preparing = True
        try:
            self.update()  # Slicer stays live while packages are installed: no second click, but Cancel
            selection_from(parameters).request(parameters)  # what is wrong is told before an installation
            self.logic.installPackages()
            if self.synthesisSection.busy:
                self.logic.start(selection_from(parameters).request(parameters), self.synthesisSection)
        except Exception as error:  # shown in the panel; Qt would only print it
            self.synthesisSection.failed(failure_of(error))
        finally:
            self._preparing = False
        self.update()

    def onCancel(self) -> None:
        """End the worker with all it has started."""
        self.logic.cancel(waitForCompletion=False)
        self.patientLoader.stopped()
        self.synthesisSection.cancelled()

    def onSynthesisEnded(self, nodes: SynthesisNodes | None) -> None:
        """Select and show the new maps, if there are any."""
        if nodes is None:
            self.update()
            return
        parameters = self._parameterNode or self.logic.getParameterNode()
        parameters.syntheticMap = nodes.rcbv  # which updates
        self.registrationSection.forget()
        self.layoutSwitch.show_results(nodes, reference_of(nodes.rcbv), parameters.realMap)


class SynthCBVLogic(AnalysisLogic, ScriptedLoadableModuleLogic):
    """What the panel's buttons do, for the Python console and for scripts.

    Parameters
    ----------
    launch : Launcher
        Starts the worker process; with Slicer's own Python by default.
    """

    def __init__(self, launch: Launcher = launch_in_slicer) -> None:
        AnalysisLogic.__init__(self, lambda arguments: self.launch(arguments))
        ScriptedLoadableModuleLogic.__init__(self)
        self.launch = launch
        self.runner = Runner(lambda arguments: self.launch(arguments))

    def getParameterNode(self) -> SynthCBVParameterNode:
        node = super().getParameterNode()
        if not hasattr(node, "synthcbvLastObserver"):
            # VTK calls the first of all observers after the others, unless one of lower priority is there.
            # The first is that which keeps the wrapper's first value up to date, and the panel comes later.
            node.synthcbvLastObserver = node.AddObserver(vtk.vtkCommand.ModifiedEvent, _nothing, -1.0)
        return SynthCBVParameterNode(node)

    def installPackages(self, torch: bool = True) -> None:
        """Install what a synthesis and reports need, if it is missing; asks before.

        The panel does so by itself. For scripts: what waits for completion works in this process.

        Parameters
        ----------
        torch : bool
            Whether PyTorch too, which a synthesis needs and the rest does not.

        Raises
        ------
        InputError
            If the user declines or the installation fails; the message says what to do.
        """
        ensure_packages(Path(__file__).parent / "Resources" / "requirements.txt", torch=torch)

    @property
    def running(self) -> bool:
        """Whether a job is under way in a worker process."""
        return self.runner.running

    def synthesize(
        self,
        nodes: Mapping[Modality, object],
        model: str = "ivim",
        bValues: Sequence[float] | None = None,
        asl: AslNodes | None = None,
        name: str = "SynthCBV",
        device: str = "auto",
        progress: Progress | None = None,
        waitForCompletion: bool = True,
        listener: Listener | None = None,
        registration: str = "rigid",
        reference: str = "",
        correctDistortion: bool = False,
    ) -> SynthesisNodes | None:
        """Synthesise an rCBV map from volumes of the scene.

        Parameters
        ----------
        nodes : Mapping
            Volume node of each modality; keys are `Modality` or its names such as "T2w". DWI may also be a
            sequence node, or a list of volumes with `bValues`.
        model : str
            "ivim", "asl", or the path of a weights file.
        bValues : sequence of float, optional
            s/mm², one a volume of the DWI; by default those of the node.
        asl : AslNodes, optional
            Control, label and M0, instead of a CBF map.
        name : str
            Stands before the names of the new nodes.
        device : str
            "auto", "cpu", "cuda" or "mps".
        progress : Progress, optional
            Told of each stage, if waiting for completion.
        waitForCompletion : bool
            Work in this process until done; otherwise in a worker process, which returns at once.
        listener : Listener, optional
            Told of progress and end of the worker process; required if not waiting.
        registration : str
            "rigid", "affine" or "keep" (where the files' positions are to be trusted).
        reference : str
            Modality whose grid the map gets; that of the model's card by default.
        correctDistortion : bool
            Straighten the DWI along its phase direction, against T2w (experimental).

        Returns
        -------
        SynthesisNodes or None
            The new nodes (rcbv, uncertainty, mask), if waiting for completion.

        Raises
        ------
        InputError
            If the volumes cannot be used; the message says why and what to do.
        """
        nodes = {Modality(key): node for key, node in nodes.items()}
        alignment = Alignment(registration, reference, correctDistortion)
        request = SynthesisRequest(nodes, model, name, bValues, asl, device, alignment)
        if waitForCompletion:
            return request.here(progress)
        if listener is None:
            raise InputError("synthesize", "no listener", "a listener, since the maps come later")
        self.start(request, listener)
        return None

    def start(self, work: Work, listener: Listener) -> None:
        """Start a job in a worker process and tell the listener from Slicer's event loop.

        Raises
        ------
        InputError
            If another one is under way.
        """
        self.runner.start(work, listener)

    def cancel(self, waitForCompletion: bool = True) -> None:
        """End a job in a worker process; no process, file or node of it stays.

        Without waiting, that is so some turns of the event loop later.
        """
        self.runner.cancel(waitForCompletion)

    def fitIvim(
        self,
        dwi: DiffusionNode,
        bValues: Sequence[float] | None = None,
        mask: vtkMRMLLabelMapVolumeNode | None = None,
        method: str = "bayes",
        name: str = "IVIM",
        progress: Progress | None = None,
    ) -> dict[str, vtkMRMLScalarVolumeNode]:
        """Fit the IVIM model; gives volumes "S0", "D", "f", "D*", "f SD" (`SynthCBVLib.scene.fit_ivim`)."""
        return fit_ivim(dwi, bValues, mask, method, name, progress)

    def quantifyAsl(
        self, asl: AslNodes, m0Smoothing: float = 0.0, name: str = "ASL"
    ) -> vtkMRMLScalarVolumeNode:
        """Quantify CBF of control, label and M0; see `SynthCBVLib.scene.quantify_asl`."""
        return quantify_asl(asl, m0Smoothing, name)

    def quantifyDsc(
        self,
        dsc: DiffusionNode,
        repetitionTime: float,
        echoTime: float,
        mask: vtkMRMLLabelMapVolumeNode | None = None,
        whiteMatter: vtkMRMLLabelMapVolumeNode | None = None,
        name: str = "DSC",
        progress: Progress | None = None,
    ) -> vtkMRMLScalarVolumeNode:
        """Compute rCBV of a contrast-bolus series (times in s); see `SynthCBVLib.scene.quantify_dsc`."""
        return quantify_dsc(dsc, repetitionTime, echoTime, mask, whiteMatter, name, progress)


class SynthCBVTest(ScriptedLoadableModuleTest):
    """Checks the installed module, and runs Testing/Slicer where that lies beside it (developer mode)."""

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear(0)

    def runTest(self) -> None:
        """Run all checks; a failure raises with the report."""
        self.setUp()
        self.checkRatioOfKnownMap()
        self.setUp()
        self.runFolder(REPOSITORY / "Testing" / "Slicer")

    def checkRatioOfKnownMap(self) -> None:
        """Check that a map of 1 with a box of 3 has the T/WM ratio 3."""
        voxels = np.ones((4, 20, 20), dtype=np.float32)
        tumour, white = np.zeros(voxels.shape, np.uint8), np.zeros(voxels.shape, np.uint8)
        tumour[1:3, 4:8, 4:8], white[1:3, 12:16, 12:16] = 1, 1
        voxels[tumour > 0] = 3.0
        node = image_to_volume(sitk.GetImageFromArray(voxels), "map")
        masks = {"Tumour 1": sitk.GetImageFromArray(tumour), "White matter 1": sitk.GetImageFromArray(white)}
        table = SynthCBVLogic().computeRatios(add_regions(masks, node, "Regions"), {"map": node})
        self.assertAlmostEqual(table.GetTable().GetColumnByName("T/WM").GetValue(0), 3.0, places=5)

    def runFolder(self, folder: Path) -> None:
        """Run the test files of a folder; an installed extension has none."""
        for path in folder.glob("*.py"):
            if path.stem != "conftest":
                sys.modules.pop(path.stem, None)  # what tests share, as it was before a reload
        suite = unittest.TestSuite()
        for path in sorted(folder.glob("test_*.py")):
            spec = importlib.util.spec_from_file_location(path.stem, path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
        result = unittest.TextTestRunner(verbosity=2).run(suite)
        if not result.wasSuccessful():
            raise AssertionError("\n".join(text for _case, text in (*result.errors, *result.failures)))
