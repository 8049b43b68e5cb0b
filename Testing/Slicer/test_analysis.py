"""From maps to ratios, a cohort and reports without a click; the same in 3D Slicer and in the host."""

import importlib.util
import sys
import tempfile
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

from SynthCBVLib.errors import InputError
from SynthCBVLib.scene import (
    add_regions,
    add_synthesis,
    image_to_volume,
    load_scene,
    save_scene,
)
from SynthCBVLib.scene.region_placing import put_regions
from SynthCBVLib.scene.results import findings_of, mask_of, uncertainty_of

SHAPE = (4, 40, 36)
UNIT = "multiple of the brain's mean rCBV"
PROVENANCE = {"model": {"name": "asl", "weights_sha256": "ab" * 32}, "unit": UNIT, "reference": "T1w"}


@dataclass(frozen=True)
class Result:
    """A synthesis as the networks give it."""

    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: dict = field(default_factory=lambda: PROVENANCE)
    findings: tuple = ()


def image(array, spacing=(2.0, 2.0, 5.0)):
    made = sitk.GetImageFromArray(np.asarray(array, np.float32))
    made.SetSpacing(spacing)
    made.SetOrigin((-35.0, -40.0, 10.0))
    return made


def box(x, y, z=slice(1, 3)):
    array = np.zeros(SHAPE)
    array[z, y, x] = 1
    return sitk.Cast(image(array), sitk.sitkUInt8)


REGIONS = {
    "Tumour 1": box(slice(6, 9), slice(8, 11)),
    "Tumour 2": box(slice(6, 9), slice(12, 15)),
    "Tumour 3": box(slice(6, 9), slice(16, 19)),
    "White matter 1": box(slice(26, 29), slice(8, 11)),
    "White matter 2": box(slice(26, 29), slice(12, 15)),
    "White matter 3": box(slice(26, 29), slice(16, 19)),
}


def patient(ratio, synthetic_ratio, seed=0):
    """A head whose ratios are known: brain 1, tumour as given, in real and synthetic map."""
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE)
    brain[:, 3:37, 3:33] = 1
    texture = brain * (1 + 0.05 * rng.standard_normal(SHAPE))
    real, synthetic = 7 * texture, texture.copy()  # in units of their own
    for name, mask in REGIONS.items():
        inside = sitk.GetArrayViewFromImage(mask) != 0
        real[inside] = 7 * (ratio if name.startswith("Tumour") else 1.0)
        synthetic[inside] = synthetic_ratio if name.startswith("Tumour") else 1.0
    return image(real), image(synthetic), image(brain), image(texture * 300)


class Scene:
    """Nodes of one case."""

    def __init__(self, ratio=3.0, synthetic_ratio=2.5, seed=0):
        real, synthetic, brain, anatomy = patient(ratio, synthetic_ratio, seed)
        spread = sitk.Cast(0.1 * brain, sitk.sitkFloat32)
        self.nodes = add_synthesis(
            Result(synthetic, spread, sitk.Cast(brain, sitk.sitkUInt8)), f"case {seed}"
        )
        self.synthetic = self.nodes.rcbv
        self.real = image_to_volume(real, f"real {seed}")
        self.anatomy = image_to_volume(anatomy, f"T1w {seed}")
        self.regions = add_regions(REGIONS, self.anatomy, f"Regions {seed}")


def value(table, column, row=0):
    return table.GetTable().GetColumnByName(column).GetValue(row)


class AnalysisTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear(0)
        self.logic = sys.modules["SynthCBV"].SynthCBVLogic()

    def tearDown(self):
        self.logic.cancelAnalysis()

    def cohort(self, n=8):
        """A cohort of cases whose synthetic ratios are 0.8 of the real ones."""
        rng = np.random.default_rng(5)
        case, table = Scene(), None
        for i in range(n):
            table = self.logic.addCase(f"P{i}", case.synthetic, case.regions, case.real, cohort=table)
            group = "mutant" if i % 2 else "wildtype"
            real = float(rng.uniform(2, 3) + (0 if i % 2 else 1.5))
            for column, cell in (("ratio_real", real), ("ratio_synthetic", 0.8 * real + 0.1 * rng.normal())):
                table.GetTable().GetColumnByName(column).SetValue(i, cell)
            table.GetTable().GetColumnByName("group").SetValue(i, group)
        return case, table

    def test_ratio_has_an_interval_where_the_map_has_uncertainty(self):
        case = Scene()
        table = self.logic.computeRatios(
            case.regions, {"Synthetic rCBV": case.synthetic, "Real rCBV": case.real}
        )
        self.assertAlmostEqual(value(table, "T/WM"), 2.5, places=5)
        self.assertAlmostEqual(value(table, "T/WM", 1), 3.0, places=5)
        # Errors of 0.1 in each of three regions a kind: SD of ln ratio = 0.1 / sqrt(3) * hypot(1/2.5, 1).
        width = np.exp(1.6448536 * 0.1 / np.sqrt(3) * np.hypot(1 / 2.5, 1))
        self.assertEqual(value(table, "90 % interval"), f"{2.5 / width:.2f} – {2.5 * width:.2f}")
        self.assertEqual(value(table, "90 % interval", 1), "")
        given = self.logic.computeRatios(
            case.regions, {"Real rCBV": case.real}, uncertainties={"Real rCBV": case.nodes.uncertainty}
        )
        self.assertIn(" – ", value(given, "90 % interval"))

    def test_what_speaks_against_the_regions_is_kept_with_the_ratios(self):
        case = Scene()
        few = add_regions(
            {name: REGIONS[name] for name in ("Tumour 1", "White matter 1")}, case.anatomy, "few"
        )
        said = " ".join(f.what for f in findings_of(self.logic.computeRatios(few, {"map": case.synthetic})))
        self.assertIn("Only 1 tumour region.", said)
        whole = self.logic.computeRatios(case.regions, {"map": case.synthetic})
        self.assertEqual(findings_of(whole), [])

    def test_a_map_finds_its_uncertainty_after_the_scene_was_saved(self):
        Scene()
        with tempfile.TemporaryDirectory() as folder:
            path = save_scene(Path(folder) / "scene.mrb")
            slicer.mrmlScene.Clear(0)
            load_scene(path)
        node = slicer.util.getNode("case 0 synthetic rCBV")
        self.assertEqual(uncertainty_of(node).GetName(), "case 0 uncertainty")
        self.assertEqual(mask_of(node).GetName(), "case 0 brain mask")

    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_a_case_becomes_a_row_and_is_updated(self):
        case = Scene()
        table = self.logic.addCase("P1", case.synthetic, case.regions, case.real, group="mutant")
        self.assertEqual(table.GetName(), "Cohort")
        self.assertAlmostEqual(value(table, "ratio_synthetic"), 2.5, places=5)
        self.assertAlmostEqual(value(table, "ratio_real"), 3.0, places=5)
        self.assertAlmostEqual(value(table, "uncertainty"), 0.1, places=5)
        self.assertAlmostEqual(
            value(table, "ratio_uncertainty"), 2.5 * 0.1 / np.sqrt(3) * np.hypot(1 / 2.5, 1), places=5
        )
        # The units differ by 7; likeness is measured in the synthetic map's.
        self.assertGreater(value(table, "ssim"), 0.9)
        self.assertGreater(value(table, "psnr"), 20.0)
        self.assertEqual((value(table, "model"), value(table, "weights")), ("asl", "ab" * 32))
        again = self.logic.addCase("P1", case.synthetic, case.regions, scores={"BW": 3})
        self.assertIs(again, table)
        self.assertEqual(table.GetNumberOfRows(), 1)
        self.assertEqual(value(table, "score_BW"), 3.0)
        self.assertAlmostEqual(value(table, "ratio_real"), 3.0, places=5)
        self.assertIn("updated: score_BW", table.GetAttribute("SynthCBV.LastChange"))

    def test_what_cannot_be_added_changes_nothing(self):
        case = Scene()
        bad = add_regions({"x": REGIONS["Tumour 1"]}, case.anatomy, "x")
        before = slicer.mrmlScene.GetNumberOfNodes()
        for subject, regions in ((" ", case.regions), ("P1", bad)):
            with self.assertRaises(InputError):
                self.logic.addCase(subject, case.synthetic, regions)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_a_cohort_becomes_statistics_and_charts_once(self):
        _case, table = self.cohort()
        found = self.logic.analyzeCohort(table, positive="mutant")
        self.assertEqual(found.statistics.GetNumberOfRows(), value_count(found.analysis))
        titles = [chart.GetTitle() for chart in found.charts]
        self.assertIn("ROC curves", titles)
        self.assertGreaterEqual(len(titles), 4)
        kinds = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode")
        before = [slicer.mrmlScene.GetNumberOfNodesByClass(kind) for kind in kinds]
        self.logic.analyzeCohort(table)
        self.assertEqual([slicer.mrmlScene.GetNumberOfNodesByClass(kind) for kind in kinds], before)

    @unittest.skipIf(
        any(importlib.util.find_spec(name) is None for name in ("skimage", "matplotlib")),
        "packages of figures and likeness are not installed",
    )
    def test_reports_of_case_and_cohort(self):
        case, table = self.cohort()
        with tempfile.TemporaryDirectory() as folder:
            files = self.logic.exportReport(
                folder, case.synthetic, case.regions, case.real, anatomy=case.anatomy, cohort=table,
                subject="Smith", pdf=False,
            )  # fmt: skip
            self.assertEqual(
                sorted(path.name for path in files),
                ["case-report.html", "cohort-report.html", "cohort.csv", "statistics.csv"],
            )
            self.assertEqual(len(list(Path(folder).iterdir())), 4)
            text = (Path(folder) / "case-report.html").read_text(encoding="utf-8")
            for needed in (
                "ASL workflow",
                "<strong>2.50</strong>",
                "90% interval",
                "Tumour 3",
                "not for diagnosis",
            ):
                self.assertIn(needed, text)
            self.assertNotIn("Smith", text)
            self.assertIn("P7", (Path(folder) / "cohort.csv").read_text(encoding="utf-8"))
        with self.assertRaisesRegex(InputError, "nothing to report"):
            self.logic.exportReport(tempfile.gettempdir())

    def test_work_without_waiting_ends_with_its_result_or_its_error(self):
        case, answers = Scene(), []

        def finished(result, problem):
            answers.append((result, problem))

        given = self.logic.addCase(
            "P1", case.synthetic, case.regions, waitForCompletion=False, finished=finished
        )
        self.assertIsNone(given)
        self.assertEqual(answers, [])
        self.logic.addCase("", case.synthetic, waitForCompletion=False, finished=finished)
        end = time.monotonic() + 150
        while len(answers) < 2 and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        (table, none), (nothing, problem) = answers
        self.assertEqual(table.GetNumberOfRows(), 1)
        self.assertIsNone(none)
        self.assertIsNone(nothing)
        self.assertIsInstance(problem, InputError)

    def test_a_stamp_adds_the_next_region(self):
        case = Scene()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
        put_regions({"Tumour 1": REGIONS["Tumour 1"]}, node)
        centre = REGIONS["White matter 2"].TransformIndexToPhysicalPoint((20, 13, 1))
        self.logic.stampRegion(node, case.anatomy, (-centre[0], -centre[1], centre[2]), "tumour")
        names = [node.GetSegmentation().GetNthSegment(i).GetName() for i in range(2)]
        self.assertEqual(names, ["Tumour 1", "Tumour 2"])

    def test_a_proposal_without_an_outline_is_refused(self):
        case = Scene()
        with self.assertRaisesRegex(InputError, "no segment named Lesion"):
            self.logic.proposeRegions(case.regions, "Lesion", case.synthetic, case.anatomy)

    @unittest.skipIf(importlib.util.find_spec("skimage") is None, "scikit-image is not installed")
    def test_an_automatic_outline_needs_to_know_what_the_image_is(self):
        case, node = Scene(), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
        with self.assertRaisesRegex(InputError, "a modality that is not known"):
            self.logic.proposeRegions(node, None, case.synthetic, case.anatomy)
        self.assertEqual(node.GetSegmentation().GetNumberOfSegments(), 0)


def value_count(analysis):
    from SynthCBVLib.analysis.cohort.statistics import statistic_rows

    return len(statistic_rows(analysis))
