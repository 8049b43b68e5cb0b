"""However a job ends, the panel is ready again and nothing stays: no process, no file, no half-made node."""

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent))

from panel_case import PanelCase, group_lives, text, wait

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.selection import selection_from
from SynthCBVLib.scene import image_to_volume, steps

#: When to cancel: the worker's behaviour, and what must be so of the job, the panel and the scene.
MOMENTS = {
    "before anything is copied": ("quick", lambda t: True),
    "while volumes are copied": ("quick", lambda t: t.polls == 1),
    "while files are written": ("quick", lambda t: t.phase == "_start"),
    "while the worker starts": ("quick", lambda t: t.phase == "_listen"),
    "while it reads the volumes": ("slow", lambda t: "Reading" in t.status),
    "while it registers": ("slow", lambda t: "Registering" in t.status),
    "while it computes": ("slow", lambda t: "Computing" in t.status),
    "while maps are read": ("quick", lambda t: t.phase == "_await"),
    "before the first map is shown": ("quick", lambda t: t.phase == "_show"),
    "after the first map": ("quick", lambda t: t.made == 1),
    "after the second map": ("quick", lambda t: t.made == 2),
}


class Lingering:
    """A process that takes its time to end."""

    pid = 999_999_999

    def __init__(self):
        self.stdout, self.code, self.killed = io.StringIO(""), None, False

    def poll(self):
        return self.code

    def kill(self):
        self.killed = True


class Moment:
    """What can be seen between two turns of a job."""

    def __init__(self, test, polls):
        job = test.logic.runner.job
        self.polls, self.phase = polls, job._turn.__name__
        self.status = text(test.ui.synthesisStatusLabel)
        self.made = len(test.maps()) - 2


class EndingTest(PanelCase):
    def setUp(self):
        super().setUp()
        self.turn, steps.TURN = steps.TURN, -1.0  # one step a turn, so that a moment is between two

    def tearDown(self):
        steps.TURN = self.turn
        super().tearDown()

    def test_cancel_at_any_moment_leaves_nothing(self):
        for name, (behaviour, now) in MOMENTS.items():
            with self.subTest(name):
                slicer.mrmlScene.Clear(0)
                self.panel.enter()
                self.parameters = self.logic.getParameterNode()
                self.run_behaviour(behaviour)
                self.logic.runner._ticker.stop()  # turns are taken by hand
                job, before, polls = self.logic.runner.job, self.maps(), 0
                end = time.monotonic() + 60
                while not now(Moment(self, polls)):
                    self.assertLess(time.monotonic(), end, "the moment never came")
                    job.poll()
                    polls += 1
                    if job._turn.__name__ == "_listen":
                        time.sleep(0.005)
                self.assertTrue(job.running)
                group = None if job._worker is None else job._worker._worker
                self.ui.cancelButton.click()
                self.assertIn("Cancelled", text(self.ui.synthesisStatusLabel))
                self.assertEqual(self.maps(), before[:2])
                self.assertIsNone(self.parameters.syntheticMap)
                self.assert_ready_again()
                if group is not None:  # where processes have groups, the child of the worker is gone as well
                    self.assertTrue(wait(lambda group=group: not group_lives(group), 10.0))

    def test_failures_are_told_and_the_panel_is_ready_again(self):
        for behaviour, words in (
            ("input", "no overlap with the DWI"),
            ("fault", "unexpected shape"),
            ("garbage", "without a result"),
            ("no torch", "Python package torch: not installed"),
        ):
            with self.subTest(behaviour):
                self.run_behaviour(behaviour)
                self.assertTrue(wait(lambda: not self.logic.running))
                self.assertIn(words, text(self.ui.synthesisStatusLabel))
                self.assertNotIn("SynthCBV synthetic rCBV", self.maps())
                self.assert_ready_again()

    def test_a_worker_that_does_not_start_is_told(self):
        def launch(arguments):
            raise FileNotFoundError(2, "No such file or directory", "PythonSlicer")

        self.logic.launch = launch
        self.run_behaviour("quick")
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIn("PythonSlicer", text(self.ui.synthesisStatusLabel))
        self.assert_ready_again()

    def test_ending_the_worker_from_outside_is_told(self):
        self.run_behaviour("slow")
        self.assertTrue(wait(lambda: "Computing" in text(self.ui.synthesisStatusLabel)))
        worker = self.logic.runner.job._worker._worker
        if worker is None:
            self.skipTest("no process groups on this system")
        os.kill(worker, 9)
        self.assertTrue(wait(lambda: not self.logic.running))
        self.assertIn("without a result", text(self.ui.synthesisStatusLabel))
        self.assert_ready_again()
        self.assertTrue(wait(lambda: not group_lives(worker), 10.0))

    def test_nothing_waits_for_a_worker_that_takes_its_time_to_end(self):
        process, folders = Lingering(), []
        self.logic.launch = lambda arguments: folders.append(Path(arguments[-1]).parent) or process
        self.run_behaviour("quick")
        self.assertTrue(wait(lambda: bool(folders)))
        self.assertTrue(wait(lambda: self.logic.runner.job._worker is not None))
        self.ui.cancelButton.click()
        self.assertTrue(process.killed)
        self.assertFalse(self.logic.running)
        self.assertTrue(self.ui.applyButton.isEnabled())
        self.assertTrue(folders[0].exists())  # the process may still write
        process.code = -9
        self.assertTrue(wait(lambda: not folders[0].exists(), 10.0))
        self.assert_ready_again()

    def test_closing_the_scene_ends_the_synthesis(self):
        self.run_behaviour("slow")
        self.assertTrue(wait(lambda: "Computing" in text(self.ui.synthesisStatusLabel)))
        slicer.mrmlScene.Clear(0)
        self.assertFalse(self.logic.running)
        self.assertEqual(self.maps(), [])

    def test_a_full_disk_is_told(self):
        def full(folder, volumes, more=None):
            raise OSError(28, "No space left on device")

        from SynthCBVLib.worker import study

        original, study.write_volumes = study.write_volumes, full
        try:
            self.run_behaviour("quick")
            self.assertTrue(wait(lambda: not self.logic.running))
        finally:
            study.write_volumes = original
        self.assertIn("No space left", text(self.ui.synthesisStatusLabel))
        self.assert_ready_again()

    def test_one_job_at_a_time(self):
        self.run_behaviour("slow")
        with self.assertRaisesRegex(InputError, "another computation is running"):
            self.logic.start(None, None)
        self.assertFalse(self.ui.patientButton.isEnabled())


class StepsTest(PanelCase):
    def test_large_volumes_are_copied_in_short_steps(self):
        """What holds the event loop is a few megabytes at a time, whatever the study's size."""
        self.choose_ivim()
        request = selection_from(self.parameters).request(self.parameters)
        self.assertEqual(sum(1 for _ in request.copy()), 2)
        large = np.zeros((40, 300, 300), np.float32)
        large[:, 50:250, 50:250] = 7.0
        self.parameters.t2w = image_to_volume(sitk.GetImageFromArray(large), "large")
        request = selection_from(self.parameters).request(self.parameters)
        self.assertGreaterEqual(sum(1 for _ in request.copy()), 1 + large.nbytes // 4_000_000)
