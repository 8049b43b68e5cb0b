"""From a map to regions, ratio, cohort, plots and report by clicking: the real worker on a drawn head."""

import importlib.util
import json
import sys
import tempfile
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer
import vtk

from SynthCBVLib.scene import add_synthesis, image_to_volume, load_scene, region_masks, save_scene
from SynthCBVLib.scene.region_placing import OUTLINE, REGIONS, drawn_names, put_regions
from SynthCBVLib.scene.tables import cohort_from_node

UNIT = "multiple of the brain's mean rCBV"
CARD = {"calibration": {"cases": 20, "ratios": 20, "ratio_quantiles": {"0.9": 4.0}}}
MODEL = {"name": "asl", "weights_sha256": "ab" * 32, "card": CARD}
PROVENANCE = {"model": MODEL, "unit": UNIT, "reference": "T2w"}


@dataclass(frozen=True)
class Result:
    """A synthesis as the networks give it."""

    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: dict = field(default_factory=lambda: PROVENANCE)
    findings: tuple = ()


def head():
    """T2w, rCBV, brain and tumour of a head whose halves mirror each other but for the tumour."""
    rng = np.random.default_rng(2)
    size, spacing = (80, 96, 12), np.array([2.0, 2.0, 6.0])
    grid = sitk.Image(size, sitk.sitkFloat32)
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin((-(np.array(size) - 1) * spacing / 2).tolist())
    k, j, i = np.indices(size[::-1])
    x, y, z = np.moveaxis(np.stack([i, j, k], -1) * spacing + np.array(grid.GetOrigin()), -1, 0)

    def ball(centre, radii, across):
        place = ((across, y, z)[axis] - centre[axis] for axis in range(3))
        return np.sqrt(sum((one / radius) ** 2 for one, radius in zip(place, radii, strict=True)))

    radius = ball((0, 0, 0), (62, 80, 45), x)
    brain = radius < 1
    solid = brain & (ball((36, 18, 6), (15, 17, 12), -x) < 1)
    fluid = brain & (ball((11, -5, 8), (6, 28, 10), np.abs(x)) < 1)
    folds = 0.06 * np.sin(y / 5.0 + 0.6) * np.cos(np.abs(x) / 6.0)
    white = brain & (radius + folds < 0.8) & ~fluid & ~solid
    t2w = np.where(solid, 900, np.where(fluid, 1500, np.where(white, 300, 520)))
    flow = np.where(solid, 3.0, np.where(fluid, 0.1, np.where(white, 1.0, 2.4)))
    for centre in ((30, 12, 6), (32, 28, 6), (42, 8, 6)):
        flow = flow + 3 * solid * np.exp(-(ball(centre, (6, 6, 9), -x) ** 2))

    def made(array, kind=np.float32):
        image = sitk.GetImageFromArray(array.astype(kind))
        image.CopyInformation(grid)
        return image

    noise = rng.standard_normal(brain.shape)
    rcbv = brain * np.maximum(flow + 0.05 * noise, 0)
    return (
        made(brain * (t2w + 9 * noise)), made(rcbv / rcbv[brain].mean()), made(brain, np.uint8),
        made(solid, np.uint8),
    )  # fmt: skip


def text(widget):
    """A widget's text: a property in PythonQt, a method in PySide6."""
    value = widget.text
    return value() if callable(value) else value


def wait(condition, seconds=150.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.01)
    return condition()


class Files:
    """Answers questions for files without asking."""

    def __init__(self, folder):
        self.place, self.table, self.shown = Path(folder), Path(folder) / "cohort.csv", []

    def open_table(self):
        return self.table

    def save_table(self):
        return self.table

    def folder(self):
        return self.place

    def show(self, path):
        self.shown.append(path)


class SectionsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.images = head()

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        self.panel = slicer.util.getModuleWidget("SynthCBV")
        self.panel.enter()
        self.ui, self.logic = self.panel.ui, self.panel.logic
        self.parameters = self.logic.getParameterNode()

    def tearDown(self):
        self.logic.cancelAnalysis()
        self.panel.exit()
        slicer.mrmlScene.Clear(0)

    def choose_map(self, healthy=False):
        """Put the head and its map into the scene, as a synthesis leaves them; perhaps with no tumour."""
        t2w, rcbv, brain, tumour = self.images
        if healthy:
            rest = sitk.Cast(tumour == 0, sitk.sitkFloat32)
            t2w, rcbv = t2w * rest + 300.0 * (1 - rest), rcbv * rest + 1.0 * (1 - rest)
        self.parameters.t2w = image_to_volume(t2w, "T2w")
        spread = sitk.Cast(brain, sitk.sitkFloat32) * 0.1
        nodes = add_synthesis(Result(rcbv, spread, brain), "case", inputs={"T2w": self.parameters.t2w})
        self.parameters.syntheticMap = nodes.rcbv
        return nodes

    def outline_voxels(self):
        masks = region_masks(self.parameters.regions, self.images[0])
        return sitk.GetArrayFromImage(masks[OUTLINE]) != 0

    def outline(self):
        self.ui.createRegionsButton.click()
        put_regions({OUTLINE: self.images[3]}, self.parameters.regions)

    def ratio(self, row=0):
        return self.parameters.ratioTable.GetTable().GetColumnByName("T/WM").GetValue(row)

    def wait_for_ratio(self, n_rows=1):
        def there():
            table = self.parameters.ratioTable
            return table is not None and table.GetNumberOfRows() == n_rows and not self.busy()

        self.assertTrue(wait(there), text(self.ui.regionsStatusLabel))

    def busy(self):
        section = self.panel.regionsSection
        return section._computing or section._pause.running

    def drawn(self):
        return len(drawn_names(self.parameters.regions))

    def names(self):
        segmentation = self.parameters.regions.GetSegmentation()
        return [segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())]

    def test_empty_sections_offer_nothing(self):
        for button in ("proposeButton", "stampButton", "createRegionsButton", "compareButton",
                       "addCaseButton", "exportButton", "analyzeButton", "reportButton"):  # fmt: skip
            self.assertFalse(getattr(self.ui, button).isEnabled(), button)
        for widget in ("ratioLabel", "segmentEditorWidget", "cohortTable", "regionsProgressBar",
                       "regionsStatusLabel", "agreementStatusLabel", "analysisProgressBar"):  # fmt: skip
            self.assertTrue(getattr(self.ui, widget).isHidden(), widget)

    def test_named_segments_have_colours_and_terminology(self):
        self.choose_map()
        self.ui.createRegionsButton.click()
        self.assertEqual(self.names(), [OUTLINE, *REGIONS])
        segmentation = self.parameters.regions.GetSegmentation()
        for name, code in (("Tumour 2", "4147007^Mass"), ("White matter 3", "389080008^White Matter")):
            segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name))
            tag = vtk.reference("")
            self.assertTrue(segment.GetTag(segment.GetTerminologyEntryTagName(), tag))
            self.assertIn(code, str(tag))
        self.assertEqual(len({segmentation.GetNthSegment(i).GetColor() for i in range(1, 7)}), 6)
        self.ui.createRegionsButton.click()
        self.assertEqual(len(self.names()), 7)
        self.assertTrue(wait(lambda: "appears once" in text(self.ui.ratioLabel), 10.0))

    def test_regions_drawn_by_hand_are_not_replaced_by_one_click(self):
        self.choose_map()
        self.ui.createRegionsButton.click()
        put_regions({"Tumour 1": sitk.Cast(self.images[3] != 0, sitk.sitkUInt8)}, self.parameters.regions)
        self.ui.proposeButton.click()
        self.assertFalse(self.logic.proposals.running)
        shown = text(self.ui.regionsStatusLabel)
        self.assertIn("would be replaced", shown)
        self.assertIn("Paint roughly over the solid tumour", shown)
        self.assertEqual(drawn_names(self.parameters.regions), {"Tumour 1"})

    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_one_click_proposes_outline_and_regions(self):
        self.choose_map()
        self.ui.proposeButton.click()
        self.assertFalse(self.ui.regionsProgressBar.isHidden())
        self.assertTrue(wait(lambda: not self.logic.proposals.running))
        shown = text(self.ui.regionsStatusLabel)
        self.assertIn("An outline of the tumour and six regions are proposed", shown)
        self.assertIn("Look at it, correct it with the brush", shown)
        self.assertIn("proposed by the computer, from T2w and rCBV", shown)
        self.assertEqual(self.names(), [OUTLINE, *REGIONS])
        self.assertEqual(self.drawn(), 7)
        segmentation = self.parameters.regions.GetSegmentation()
        self.assertEqual(segmentation.GetSegment(self.panel.regionsSection.editor.chosen).GetName(), OUTLINE)
        proposed = self.outline_voxels()
        tumour = sitk.GetArrayViewFromImage(self.images[3]) != 0
        self.assertGreater(2 * (proposed & tumour).sum() / (proposed.sum() + tumour.sum()), 0.8)
        self.wait_for_ratio()
        self.assertGreater(self.ratio(), 3.0)
        corrected = sitk.Cast(self.images[3] != 0, sitk.sitkUInt8)
        put_regions({OUTLINE: corrected}, self.parameters.regions)
        self.ui.proposeButton.click()
        self.assertTrue(wait(lambda: not self.logic.proposals.running))
        self.assertNotIn("The outline was proposed", text(self.ui.regionsStatusLabel))
        self.assertTrue((self.outline_voxels() == tumour).all())

    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_an_outline_is_asked_for_where_none_is_found(self):
        self.choose_map(healthy=True)
        self.ui.proposeButton.click()
        self.assertTrue(wait(lambda: not self.logic.proposals.running))
        shown = text(self.ui.regionsStatusLabel)
        self.assertIn("no tumour stands out in T2w and rCBV", shown)
        self.assertIn("paint roughly", shown.lower())
        self.assertEqual(self.names(), [OUTLINE, *REGIONS])
        self.assertEqual(self.drawn(), 0)
        segmentation = self.parameters.regions.GetSegmentation()
        chosen = segmentation.GetSegment(self.panel.regionsSection.editor.chosen)
        self.assertEqual(chosen.GetName(), OUTLINE)
        self.assertTrue(self.ui.proposeButton.isEnabled())

    def test_proposing_needs_an_anatomical_image(self):
        self.choose_map()
        self.parameters.syntheticMap = image_to_volume(self.images[1], "another")
        self.parameters.t2w = None
        self.ui.proposeButton.click()
        self.assertIn("no anatomical image", text(self.ui.regionsStatusLabel))
        self.assertFalse(self.logic.analysing)

    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_proposed_regions_and_their_ratio(self):
        self.choose_map()
        self.outline()
        self.ui.proposeButton.click()
        self.assertFalse(self.ui.regionsProgressBar.isHidden())
        self.assertFalse(self.ui.proposeButton.isEnabled())
        self.assertTrue(wait(lambda: not self.logic.proposals.running))
        self.assertIn("Six regions", text(self.ui.regionsStatusLabel))
        self.assertTrue(self.ui.regionsProgressBar.isHidden())
        self.assertEqual(drawn_names(self.parameters.regions), {OUTLINE, *REGIONS})
        self.assertEqual(self.names(), [OUTLINE, *REGIONS])
        self.wait_for_ratio()
        self.assertGreater(self.ratio(), 3.0)
        shown = text(self.ui.ratioLabel)
        self.assertIn(f"<b>{self.ratio():.2f}</b>", shown)
        self.assertIn("90 % interval</td>", shown)
        self.assertIn("the real ratio is expected within <b>", shown)

    def test_cancelled_proposals_change_nothing(self):
        self.choose_map()
        self.outline()
        self.ui.proposeButton.click()
        self.assertTrue(wait(lambda: self.logic.proposals._runner.job._worker is not None))
        self.ui.regionsCancelButton.click()
        self.assertFalse(self.logic.proposals.running)
        self.assertIn("Cancelled", text(self.ui.regionsStatusLabel))
        self.assertTrue(self.ui.proposeButton.isEnabled())
        self.assertEqual(drawn_names(self.parameters.regions), {OUTLINE})
        self.assertTrue(wait(lambda: not list(Path(slicer.app.temporaryPath).glob("SynthCBV-*")), 5.0))

    def test_ratio_follows_the_regions(self):
        self.choose_map()
        self.outline()
        names = {"Tumour 1": (22, 57, 6), "White matter 1": (52, 57, 6)}
        for name, index in names.items():
            array = np.zeros(self.images[0].GetSize()[::-1], np.uint8)
            array[index[2], index[1] - 2 : index[1] + 3, index[0] - 2 : index[0] + 3] = 1
            mask = sitk.GetImageFromArray(array)
            mask.CopyInformation(self.images[0])
            put_regions({name: mask}, self.parameters.regions)
        self.wait_for_ratio()
        first = self.ratio()
        self.assertIn("Only 1 tumour region", text(self.ui.ratioLabel))
        self.parameters.fractionMap = image_to_volume(self.images[1] ** 2, "f")
        self.wait_for_ratio(2)
        self.assertGreater(self.ratio(1), first)
        table = self.parameters.ratioTable
        segmentation = self.parameters.regions.GetSegmentation()
        segmentation.RemoveSegment(segmentation.GetSegmentIdBySegmentName("Tumour 1"))
        self.assertTrue(wait(lambda: table.GetNumberOfColumns() == 0, 10.0))
        self.assertIn("appears once", text(self.ui.ratioLabel))
        self.assertIs(self.parameters.ratioTable, table)

    def test_stamping_fills_one_region_after_the_other(self):
        self.choose_map()
        interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        interaction.SetPlaceModePersistence(0)
        self.ui.stampButton.click()
        self.assertIn("Tumour 1", text(self.ui.regionsStatusLabel))
        self.assertEqual(interaction.GetCurrentInteractionMode(), interaction.Place)
        picker = self.panel.regionsSection.stamper.picker
        for count, name in enumerate(REGIONS, start=1):
            side = -1 if name.startswith("Tumour") else 1
            place = vtk.vtkVector3d(-side * 36.0, -(18.0 + 14 * (count % 3 - 1)), 3.0)  # RAS
            picker._node.AddControlPointWorld(place)
            self.assertTrue(wait(lambda count=count: self.drawn() == count, 10.0))
        self.assertFalse(picker.running)
        self.assertEqual(interaction.GetCurrentInteractionMode(), interaction.ViewTransform)
        self.assertEqual(interaction.GetPlaceModePersistence(), 0)
        self.assertIsNone(slicer.mrmlScene.GetFirstNodeByName("Stamp"))
        self.wait_for_ratio()
        self.assertGreater(self.ratio(), 2.0)

    def test_a_right_click_ends_stamping_and_a_point_outside_is_told(self):
        self.choose_map()
        self.ui.stampButton.click()
        picker = self.panel.regionsSection.stamper.picker
        picker._node.AddControlPointWorld(vtk.vtkVector3d(900.0, 0.0, 0.0))
        self.assertTrue(wait(lambda: "outside the image" in text(self.ui.regionsStatusLabel), 10.0))
        self.assertFalse(picker.running)
        self.ui.stampButton.click()
        interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)  # as a right click does
        self.assertTrue(wait(lambda: not self.ui.stampButton.isChecked(), 10.0))
        self.assertFalse(picker.running)

    @unittest.skipIf(
        any(importlib.util.find_spec(name) is None for name in ("skimage", "matplotlib")),
        "packages of figures and likeness are not installed",
    )
    def test_from_regions_to_the_report_and_back_from_a_saved_scene(self):
        nodes = self.choose_map()
        self.outline()
        self.parameters.realMap = image_to_volume(self.images[1] * 3.0, "real")
        self.ui.proposeButton.click()
        self.wait_for_ratio(2)
        self.ui.compareButton.click()
        self.assertTrue(wait(lambda: not self.logic.works.running))
        self.assertIn("SSIM 1.000", text(self.ui.likenessValueLabel))
        self.ui.addCaseButton.click()
        self.assertIn("Subject", text(self.ui.agreementStatusLabel))
        self.parameters.subject, self.parameters.group = "P_01", "mutant"
        self.ui.addCaseButton.click()
        self.assertTrue(wait(lambda: not self.logic.works.running))
        self.assertIn("added as case 1", text(self.ui.agreementStatusLabel))
        table = cohort_from_node(self.parameters.cohort)
        self.assertEqual(table.column("group"), ["mutant"])
        self.assertAlmostEqual(table.column("ratio_synthetic")[0], self.ratio(0), places=9)

        with tempfile.TemporaryDirectory() as folder:
            files = Files(folder)
            section = self.panel.agreementSection
            before, section.dialogs = section.dialogs, files
            try:
                self.go_through_a_cohort(files)
            finally:
                section.dialogs = before
            ratio, shown = self.ratio(), text(self.ui.ratioLabel)
            plots = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")
            layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
            if layout is not None:
                layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
            path = save_scene(Path(folder) / "scene.mrb")
            slicer.mrmlScene.Clear(0)
            self.panel.enter()
            self.test_empty_sections_offer_nothing()
            load_scene(path)
        if layout is not None:  # whether its chart is shown is the scene's affair
            self.assertEqual(layout.GetViewArrangement(), layout.SlicerLayoutOneUpRedSliceView)
        self.parameters = self.logic.getParameterNode()
        self.assertEqual(text(self.ui.ratioLabel), shown)
        self.assertTrue(wait(lambda: not self.busy(), 10.0))
        self.assertAlmostEqual(self.ratio(), ratio, places=4)
        self.assertEqual(self.names(), [OUTLINE, *REGIONS])
        self.assertEqual(self.parameters.syntheticMap.GetName(), nodes.rcbv.GetName())
        self.assertEqual(self.parameters.realMap.GetName(), "real")
        self.assertEqual((self.parameters.subject, self.parameters.group), ("P_01", "mutant"))
        self.assertIn("SSIM 1.000", text(self.ui.likenessValueLabel))
        self.assertEqual(len(cohort_from_node(self.parameters.cohort)), 13)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode"), plots)
        self.assertIsNotNone(self.parameters.plot)

    def go_through_a_cohort(self, files):
        """Export the one case, import it with others, analyse, show a plot and write the report."""
        self.ui.exportButton.click()
        self.assertIn("1 case was written", text(self.ui.agreementStatusLabel))
        lines = files.table.read_text(encoding="utf-8").splitlines()
        rng = np.random.default_rng(5)
        columns = lines[0].split(",")
        for i in range(12):
            real = rng.uniform(2, 3) + (0 if i % 2 else 1.5)
            values = {
                "subject": f"Q{i}",
                "model": "asl",
                "group": "mutant" if i % 2 else "wildtype",
                "ratio_real": f"{real}",
                "ratio_synthetic": f"{0.8 * real + 0.1 * rng.normal()}",
            }
            lines.append(",".join(values.get(column, "") for column in columns))
        files.table.write_text("\n".join(lines), encoding="utf-8")
        self.ui.importButton.click()
        self.assertIn("13 cases were read", text(self.ui.agreementStatusLabel))
        self.ui.cohortTable.selectRow(2)
        self.parameters.positiveGroup = "mutant"  # which has nothing to do with the table
        self.assertEqual(len(self.ui.cohortTable.selectionModel().selectedRows()), 1)
        self.parameters.positiveGroup = ""
        self.ui.analyzeButton.click()
        self.assertTrue(wait(lambda: not self.logic.works.running))
        self.assertIn("charts were made", text(self.ui.agreementStatusLabel))
        titles = [node.GetTitle() for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")]
        self.assertIn("ROC curves", titles)
        selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
        self.assertEqual(selection.GetActivePlotChartID(), self.parameters.plot.GetID())
        self.ui.reportButton.click()
        self.assertTrue(wait(lambda: not self.logic.works.running))
        self.assertIn("Written to", text(self.ui.agreementStatusLabel))
        report = (files.place / "case-report.html").read_text(encoding="utf-8")
        self.assertIn(f"<strong>{self.ratio():.2f}</strong>", report)
        self.assertIn("90% interval (conformal)", report)
        self.assertNotIn("P_01", report)
        self.assertTrue((files.place / "cohort-report.html").is_file())
        self.ui.openReportButton.click()
        self.assertEqual([path.name for path in files.shown], ["case-report.html"])

    def test_what_goes_wrong_is_told_and_the_panel_is_ready_again(self):
        self.choose_map()
        with tempfile.TemporaryDirectory() as folder:
            files, section = Files(folder), self.panel.agreementSection
            before, section.dialogs = section.dialogs, files
            files.table.write_text("name,age\nx,3\n", encoding="utf-8")
            self.ui.importButton.click()
            section.dialogs = before
        self.assertIn("subject", text(self.ui.agreementStatusLabel))
        self.outline()
        put_regions({"Tumour 1": self.images[3]}, self.parameters.regions)
        self.parameters.subject = "P1"
        self.ui.addCaseButton.click()
        self.assertTrue(wait(lambda: not self.logic.works.running))
        self.assertIn("White matter", text(self.ui.agreementStatusLabel))
        self.assertIsNone(self.parameters.cohort)
        self.assertTrue(self.ui.addCaseButton.isEnabled())

    def test_work_without_waiting_returns_before_it_is_done_and_one_follows_the_other(self):
        nodes, answers = self.choose_map(), []
        for i in range(2):
            given = self.logic.addCase(f"P{i}", nodes.rcbv, waitForCompletion=False,
                                       finished=lambda *answer: answers.append(answer))  # fmt: skip
            self.assertIsNone(given)
        self.assertEqual(answers, [])
        self.assertIsNone(slicer.mrmlScene.GetFirstNodeByName("Cohort"))
        self.assertTrue(wait(lambda: len(answers) == 2))
        self.assertEqual([problem for _table, problem in answers], [None, None])
        self.assertEqual(cohort_from_node(answers[1][0]).column("subject"), ["P0", "P1"])

    def test_a_closed_scene_ends_what_runs(self):
        self.choose_map()
        self.outline()
        self.ui.proposeButton.click()
        slicer.mrmlScene.Clear(0)
        self.assertFalse(self.logic.analysing)
        self.assertTrue(self.ui.regionsProgressBar.isHidden())
        self.assertTrue(wait(lambda: not list(Path(slicer.app.temporaryPath).glob("SynthCBV-*")), 5.0))


class ConsoleTest(unittest.TestCase):
    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_regions_and_cohort_without_the_panel(self):
        slicer.mrmlScene.Clear(0)
        logic = sys.modules["SynthCBV"].SynthCBVLogic()
        t2w, rcbv, brain, tumour = head()
        anatomy = image_to_volume(t2w, "T2w")
        made = add_synthesis(Result(rcbv, rcbv * 0.1, brain), "case")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Regions")
        put_regions({"Lesion": tumour}, node)
        logic.proposeRegions(node, "Lesion", made.rcbv, anatomy, "T2w")
        free = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Automatic")
        findings = logic.proposeRegions(free, None, made.rcbv, anatomy, "T2w")
        self.assertIn("proposed by the computer", findings[0].what)
        self.assertEqual(drawn_names(free), {OUTLINE, *REGIONS})
        table = logic.computeRatios(node, {"Synthetic rCBV": made.rcbv})
        self.assertGreater(table.GetTable().GetColumnByName("T/WM").GetValue(0), 3.0)
        cohort = logic.addCase("P1", made.rcbv, node)
        self.assertEqual(json.loads(cohort.GetAttribute("SynthCBV.Cohort"))["rows"][0][0], "P1")
