"""One job in a process of its own: ``python -m SynthCBVLib.worker JOB.json``.

The job is a JSON object such as ``{"task": "synthesize", "study": FOLDER, "model": "ivim", "device": "auto",
"output": FOLDER}``; `SynthCBVLib.worker.tasks` lists the tasks. Events go to standard output as JSON, one a
line, each with a "type":

- ``started`` (``pid``, ``group``: whether the process leads a group of its own),
- ``progress`` (``fraction`` 0 to 1, ``message``),
- ``finding`` (``severity``, ``modality``, ``what``, ``remedy``),
- ``result`` (``files``: kind -> path, and what else the task tells),
- ``error`` (``kind``: "input", "fault" or "cancelled", ``message``).

The last event is a result or an error. Whatever libraries print goes to standard error. Outputs appear whole
or not at all. The process ends by itself when one of the processes named in ``"parents"``, or the one that
started it, is gone; with ``"handed": true``, the folder of the job file goes with it.
Exit codes: 0 done, 2 bad input, 1 a fault of ours, 130 cancelled.
"""

from SynthCBVLib.worker.main import main

__all__ = ["main"]
