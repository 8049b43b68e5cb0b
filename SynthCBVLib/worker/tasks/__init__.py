"""What the worker can do: one file a task, its name in jobs here."""

from __future__ import annotations

from collections.abc import Mapping

from SynthCBVLib.worker.task import Task
from SynthCBVLib.worker.tasks.analysis import ANALYSIS
from SynthCBVLib.worker.tasks.patient import SIMULATION
from SynthCBVLib.worker.tasks.synthesis import SYNTHESIS

TASKS: Mapping[str, Task] = {
    "synthesize": SYNTHESIS,
    **ANALYSIS,
    "simulate": SIMULATION,
}
