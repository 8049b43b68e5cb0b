"""Digital patients among Slicer's sample data."""

import sys
import types
import unittest
from pathlib import Path

import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent))

from panel_case import PanelCase

from SynthCBVLib.errors import InputError


class Logic:
    """Slicer's Sample Data, as far as a registration needs it."""

    sources: list = []  # noqa: RUF012

    @classmethod
    def sampleDataSourcesByCategory(cls, category):  # noqa: N802
        return cls.sources

    @classmethod
    def registerCustomSampleDataSource(cls, category, **entry):  # noqa: N802
        cls.sources.append(types.SimpleNamespace(category=category, **entry))


class SampleDataTest(PanelCase):
    def setUp(self):
        super().setUp()
        Logic.sources = []
        self.before = sys.modules.get("SampleData")
        sys.modules["SampleData"] = types.SimpleNamespace(SampleDataLogic=Logic)

    def tearDown(self):
        if self.before is None:
            del sys.modules["SampleData"]
        else:
            sys.modules["SampleData"] = self.before
        super().tearDown()

    def test_both_workflows_are_offered_once_with_pictures(self):
        module = sys.modules["SynthCBV"]
        module.registerSampleData()
        module.registerSampleData()  # as after a reload
        self.assertEqual([source.category for source in Logic.sources], ["SynthCBV"] * 2)
        for source in Logic.sources:
            picture = Path(source.thumbnailFileName)
            self.assertTrue(picture.is_file(), picture)
            self.assertLess(picture.stat().st_size, 20_000)

    def load(self):
        """Load the ASL patient as its button does, with the double of the worker."""
        from SynthCBVLib.panel import sample_data

        original, sample_data.simulate = (
            sample_data.simulate,
            lambda workflow, seed: original(workflow, seed, self.launch),
        )
        try:
            sys.modules["SynthCBV"].registerSampleData()
            source = Logic.sources[1]
            return source.customDownloader(source)
        finally:
            sample_data.simulate = original

    def test_loading_gives_nodes_and_chooses_them(self):
        from SynthCBVLib.panel.selection import Workflow

        nodes = self.load()
        self.assertEqual(nodes[0].GetName(), "Digital 1 T1w")
        self.assertEqual(nodes[-1].GetClassName(), "vtkMRMLSegmentationNode")
        self.assertIs(self.parameters.workflow, Workflow.ASL)
        self.assertIs(self.parameters.t1w, nodes[0])
        self.assertEqual(list(Path(slicer.app.temporaryPath).glob("SynthCBV-*")), [])

    def test_a_failure_is_raised_and_leaves_nothing(self):
        from SynthCBVLib.panel import sample_data
        from SynthCBVLib.panel.selection import Workflow

        self.behaviour = "garbage"
        with self.assertRaisesRegex(InputError, "without a result"):
            sample_data.simulate(Workflow.IVIM, 1, self.launch)
        shown, original = [], slicer.util.errorDisplay  # which waits for a click outside testing mode
        slicer.util.errorDisplay = shown.append
        try:
            self.assertEqual(self.load(), [])
        finally:
            slicer.util.errorDisplay = original
        self.assertEqual(len(shown), 1)
        self.assertIn("without a result", shown[0])
        self.assertEqual(self.maps(), [])


class WithoutSampleDataTest(unittest.TestCase):
    def test_nothing_happens(self):
        from SynthCBVLib.panel import sample_data

        before = sys.modules.get("SampleData")
        sys.modules["SampleData"] = None
        try:
            self.assertFalse(sample_data.register(Path(), lambda workflow, nodes: None))
        finally:
            if before is None:
                del sys.modules["SampleData"]
            else:
                sys.modules["SampleData"] = before
        self.assertIsNotNone(slicer.mrmlScene)
