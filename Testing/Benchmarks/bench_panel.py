# ruff: noqa: T201
"""How long the panel takes to open, and how long our code holds the event loop while a job runs.

Runs the panel in the stand-in for Slicer (Testing/Host) with the real worker::

    python Testing/Benchmarks/bench_panel.py [--workflow ivim] [--seed 1]

Prints a table. "CPU" is the time that the main thread worked, which other programs cannot lengthen; "wall" is
what a user feels on this computer, now. Where other programs keep the computer busy, start it ahead of them
(``nice -n -15``, as root): the worker is as far behind the panel then as it always is, and the others stand
behind both.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
#: Milliseconds between two beats.
BEAT = 5
#: What the project aims at, in ms.
LONGEST_HOLD, LONGEST_OPENING = 50.0, 300.0


@dataclass
class Holds:
    """How long calls of one kind took, in ms."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Give a call that is measured."""

        @functools.wraps(call)
        def measured(*arguments: Any, **options: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments, **options)
            finally:
                self.cpu.append(1e3 * (time.thread_time() - cpu))
                self.wall.append(1e3 * (time.perf_counter() - wall))

        return measured

    def row(self, name: str) -> str:
        """Give a row of the table."""
        over = sum(wall > LONGEST_HOLD for wall in self.wall)
        return (
            f"{name:<46}{len(self.cpu):>7}{max(self.cpu, default=0):>10.1f}"
            f"{max(self.wall, default=0):>10.1f}{over:>8}"
        )

    def clear(self) -> None:
        """Forget all calls."""
        self.wall.clear()
        self.cpu.clear()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workflow", choices=("ivim", "asl"), default="ivim")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cancel-at", type=float, nargs="*", default=(0.0, 0.1, 0.3, 0.7))
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "Testing")]
    import Host

    host = Host.start()
    import slicer
    from PySide6.QtCore import QTimer

    from SynthCBVLib.panel import background, ticker
    from SynthCBVLib.panel.selection import Workflow

    wall, cpu = time.perf_counter(), time.thread_time()
    panel = slicer.util.getModuleWidget("SynthCBV")
    panel.enter()
    opening = 1e3 * (time.thread_time() - cpu), 1e3 * (time.perf_counter() - wall)

    ticks, updates, phases = Holds(), Holds(), {}
    poll = background.BackgroundJob.poll

    def measured_poll(job: background.BackgroundJob) -> None:
        phases.setdefault(job._turn.__name__.strip("_"), Holds()).wrapped(poll)(job)

    background.BackgroundJob.poll = measured_poll
    ticker.Ticker._tick = ticks.wrapped(ticker.Ticker._tick)
    panel_type = type(panel)
    panel_type.update = updates.wrapped(panel_type.update)
    gaps: list[tuple[float, float]] = []
    last = [time.perf_counter(), time.thread_time()]

    def beat() -> None:
        now = [time.perf_counter(), time.thread_time()]
        gaps.append((1e3 * (now[1] - last[1]), 1e3 * (now[0] - last[0])))
        last[:] = now

    timer = QTimer()
    timer.setInterval(BEAT)
    timer.timeout.connect(beat)
    timer.start()
    panel.setParameterNode(None)  # binds the measured update
    panel.initializeParameterNode()
    parameters = panel.logic.getParameterNode()
    parameters.workflow, parameters.seed = Workflow(options.workflow), options.seed

    print(f"opening: {opening[0]:.0f} ms CPU, {opening[1]:.0f} ms wall (aim {LONGEST_OPENING:.0f});",
          f"torch loaded: {'torch' in sys.modules}")  # fmt: skip
    print(f"{'':<46}{'calls':>7}{'CPU ms':>10}{'wall ms':>10}{'> 50':>8}")
    for name, button in (("digital patient", panel.ui.patientButton), ("synthesis", panel.ui.applyButton)):
        for holds in (ticks, updates, phases, gaps):
            holds.clear()
        last[:] = [time.perf_counter(), time.thread_time()]
        start = time.perf_counter()
        click = Holds()
        click.wrapped(button.click)()
        while panel.logic.running or not panel.logic.runner.job.tidy():
            host.application.processEvents()
            time.sleep(0.001)
        host.application.processEvents()
        seconds = time.perf_counter() - start
        beats = Holds([gap[1] for gap in gaps], [gap[0] for gap in gaps])
        for label, holds in (
            ("the click", click), ("turns of the job", ticks),
            *((f"of these, {phase}", holds) for phase, holds in phases.items()),
            ("updates of the panel", updates), ("all between two beats", beats),
        ):  # fmt: skip
            print(holds.row(f"{name}: {label}"))
        print(f"{name}: {seconds:.0f} s; torch loaded: {'torch' in sys.modules}")
    for fraction in options.cancel_at:
        before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")}
        panel.ui.applyButton.click()
        while panel.ui.progressBar.value() < 100 * fraction and panel.logic.running:
            host.application.processEvents()
            time.sleep(0.001)
        click, job, wall = Holds(), panel.logic.runner.job, time.perf_counter()
        click.wrapped(panel.ui.cancelButton.click)()
        while not job.tidy():
            host.application.processEvents()
            time.sleep(0.001)
        seconds = time.perf_counter() - wall
        gone = job._worker is None or job._worker.gone
        same = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")} == before
        files = list(Path(slicer.app.temporaryPath).glob("SynthCBV-*"))
        print(f"cancelled at {fraction:.0%}: click {click.wall[0]:.0f} ms; {seconds:.2f} s (aim 2) until the "
              f"worker is gone: {gone}; files left: {len(files)}; nodes as before: {same}")  # fmt: skip
    host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
