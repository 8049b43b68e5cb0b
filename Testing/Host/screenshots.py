"""Pictures of the panel in each state: ``make screenshots``, or this file with a folder.

The panel is the module's own, in the host; a double of the worker drives the synthesis through its states,
and the real worker does the rest on a drawn head.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "Testing"), str(REPOSITORY / "Testing" / "Slicer")]

import Host  # noqa: E402

#: Width of the panel, as Slicer opens it on most screens, and colours of the pictures.
WIDTH, COLOURS = 480, 128
SECTIONS = ("study", "registration", "synthesis", "regions", "agreement")


def main(arguments: Sequence[str]) -> int:
    """Make all pictures."""
    folder = Path(arguments[0]) if arguments else REPOSITORY / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    host = Host.start()
    light(host.application)
    try:
        for name, picture in Pictures(folder).take().items():
            print(f"{picture.stat().st_size / 1000:6.1f} kB  {name}")  # noqa: T201
    finally:
        host.stop()
    return 0


def light(application: Any) -> None:
    """Look as Slicer does in its light style, whatever the machine's own look."""
    from PySide6.QtGui import QColor, QFont, QPalette

    application.setStyle("Fusion")
    font = QFont("DejaVu Sans")
    font.setPixelSize(12)
    application.setFont(font)
    palette = QPalette(QColor(239, 239, 239))
    for role, colour in (
        (QPalette.Base, QColor(255, 255, 255)), (QPalette.Highlight, QColor(48, 140, 198)),
        (QPalette.AlternateBase, QColor(245, 245, 245)),
    ):  # fmt: skip
        palette.setColor(role, colour)
    application.setPalette(palette)


class Pictures:
    """Brings the panel from state to state.

    Parameters
    ----------
    folder : Path
        Gets the pictures.
    """

    def __init__(self, folder: Path) -> None:
        import panel_case
        import slicer
        import test_after_synthesis as drawn

        self.folder, self.drawn, self.double = folder, drawn, panel_case.DOUBLE
        self.panel = slicer.util.getModuleWidget("SynthCBV")
        self.panel.enter()
        self.ui, self.logic = self.panel.ui, self.panel.logic
        self.taken: dict[str, Path] = {}

    def take(self) -> dict[str, Path]:
        """Give the pictures by the state they show."""
        self.panel.parent.show()
        self.of_the_study()
        self.of_the_synthesis()
        self.of_the_analysis()
        return self.taken

    def of_the_study(self) -> None:
        """Nothing chosen, in both workflows, then all that is needed."""
        import SimpleITK as sitk

        from SynthCBVLib.imaging.study import DiffusionSeries
        from SynthCBVLib.panel.selection import Workflow
        from SynthCBVLib.scene import image_to_volume, series_to_volume

        parameters = self.parameters
        self.save("empty-ivim", "study", "synthesis")
        parameters.workflow = Workflow.ASL
        self.save("empty-asl", "study", "synthesis")
        parameters.workflow = Workflow.IVIM
        t2w, rcbv, _brain, _tumour = self.drawn.head()
        parameters.t2w = image_to_volume(t2w, "Patient 7 T2w")
        values = (0, 10, 20, 40, 80, 110, 140, 170, 200, 300, 400, 500, 600, 700, 800, 900)
        series = DiffusionSeries(sitk.Compose([t2w * 2.0 ** (-b / 700.0) for b in values]), values)
        parameters.dwi = series_to_volume(series, "Patient 7 DWI")
        parameters.realMap = image_to_volume(rcbv * 3.0, "Patient 7 real rCBV")
        parameters.outputName = "Patient 7"
        self.save("ready", "study", "synthesis")

    def of_the_synthesis(self) -> None:
        """Under way, failed, done."""
        import slicer

        original = self.logic.launch
        behaviour = ""

        def launch(arguments: Sequence[str]) -> Any:
            return slicer.util.launchConsoleProcess(
                [sys.executable, str(self.double), behaviour, arguments[-1]], useStartupEnvironment=False
            )

        self.logic.launch = launch
        try:
            behaviour = "slow"
            self.ui.applyButton.click()
            self.wait(lambda: "Computing" in self.ui.synthesisStatusLabel.text())
            self.wait(lambda: self.ui.progressBar.value() >= 18)
            self.save("running", "study", "synthesis")
            self.ui.cancelButton.click()
            behaviour = "input"
            self.ui.applyButton.click()
            self.wait(lambda: not self.logic.running)
            self.save("error", "study", "synthesis")
            behaviour = "quick"
            self.ui.applyButton.click()
            self.wait(lambda: not self.logic.running)
            self.save("finished", "study", "synthesis")
            self.ui.pairSelector.setCurrentIndex(1)
            self.save("registration", "registration")
            self.ui.pairSelector.setCurrentIndex(0)
        finally:
            self.logic.launch = original

    def of_the_analysis(self) -> None:
        """Regions with their ratio, and a cohort."""
        import SimpleITK as sitk

        from SynthCBVLib.scene import add_synthesis, image_to_volume
        from SynthCBVLib.scene.tables import cohort_to_node

        parameters, drawn = self.parameters, self.drawn
        t2w, rcbv, brain, _tumour = drawn.head()
        nodes = add_synthesis(
            drawn.Result(rcbv, rcbv * 0.06 + 0.02, brain), "Patient 7 ASL", inputs={"T2w": parameters.t2w}
        )
        parameters.syntheticMap = nodes.rcbv
        parameters.realMap = image_to_volume(
            sitk.Maximum(rcbv * 3.0 + t2w * 0.0007, 0.0), "Patient 7 real rCBV"
        )
        self.ui.proposeButton.click()
        self.wait(lambda: not self.logic.proposals.running)
        section = self.panel.regionsSection
        self.wait(lambda: not section._computing and not section._pause.running)
        self.save("regions", "regions")
        self.ui.compareButton.click()
        self.wait(lambda: not self.logic.works.running)
        parameters.cohort = cohort_to_node(cohort(), name="Cohort")
        parameters.subject, parameters.group = "P24", "mutant"
        self.ui.addCaseButton.click()
        self.wait(lambda: not self.logic.works.running)
        self.ui.analyzeButton.click()
        self.wait(lambda: not self.logic.works.running)
        self.save("agreement", "agreement")

    @property
    def parameters(self) -> Any:
        return self.logic.getParameterNode()

    def wait(self, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        """Let the panel live until something is so."""
        import slicer

        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"not within {seconds:g} s: {self.ui.synthesisStatusLabel.text()}")
            slicer.app.processEvents()
            time.sleep(0.01)

    def save(self, state: str, *open_sections: str) -> None:
        """Take a picture with these sections open."""
        import io

        import slicer
        from PIL import Image
        from PySide6.QtCore import QBuffer

        for name in SECTIONS:
            section = getattr(self.ui, f"{name}CollapsibleButton")
            section.setProperty("collapsed", name not in open_sections)
        widget = self.panel.parent
        for _turn in range(3):  # texts that wrap find their height once their width is known
            slicer.app.processEvents()
            height = widget.layout().heightForWidth(WIDTH)
            widget.resize(WIDTH, max(height, widget.minimumSizeHint().height()))
        slicer.app.processEvents()
        buffer = QBuffer()
        buffer.open(QBuffer.ReadWrite)
        widget.grab().save(buffer, "PNG")
        picture = Image.open(io.BytesIO(bytes(buffer.data()))).convert("RGB")
        path = self.folder / f"panel-{state}.png"
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        self.taken[state] = path


def cohort() -> Any:
    """Give a cohort whose synthetic ratios follow the real ones."""
    import numpy as np

    from SynthCBVLib.analysis.cohort.table import table_of

    rng = np.random.default_rng(4)
    records = []
    for i in range(23):
        mutant = bool(i % 2)
        real = float(rng.gamma(16, 0.14 if mutant else 0.24))
        other = 0.85 * real + float(rng.normal(0, 0.3))
        records.append({
            "subject": f"P{i + 1:02d}", "model": "asl", "group": "mutant" if mutant else "wildtype",
            "ratio_real": round(real, 3), "ratio_synthetic": round(other, 3),
            "ssim": round(float(rng.uniform(0.85, 0.95)), 3), "psnr": round(float(rng.uniform(26, 31)), 2),
        })  # fmt: skip
    return table_of(records)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
