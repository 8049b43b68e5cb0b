"""The worker's life: read the job, run its task, tell how it ended, leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import traceback
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from SynthCBVLib.errors import Cancelled, InputError, missing_package
from SynthCBVLib.worker.channel import LONGEST_MESSAGE, Channel, take_standard_output
from SynthCBVLib.worker.processes import lead_group, stand_back, watch
from SynthCBVLib.worker.task import Task, Teller


class _Outputs(NamedTuple):
    """The two folders of a job: where its files go in the end, and where they are written first."""

    final: Path
    temporary: Path


def main(argv: Sequence[str] | None = None, tasks: Mapping[str, Task] | None = None) -> int:
    """Run the job of the command line and give the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The job file alone; the process's own arguments by default.
    tasks : Mapping, optional
        What the worker can do, by name; `SynthCBVLib.worker.tasks.TASKS` by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    channel = Channel(take_standard_output())
    signal.signal(signal.SIGTERM, _cancel)
    channel.tell("started", pid=os.getpid(), group=lead_group())
    stand_back()
    temporary: Path | None = None
    try:
        if tasks is None:
            from SynthCBVLib.worker.tasks import TASKS as tasks  # noqa: N811
        if len(arguments) != 1:
            raise InputError("worker", f"{len(arguments)} arguments", "one: the job file")
        job = read_job(Path(arguments[0]), tasks)
        outputs = _outputs(Path(job["output"]))
        temporary = outputs.temporary
        # Nobody else clears away what a panel that is gone has handed over.
        handed = [Path(arguments[0]).absolute().parent] if job.get("handed") is True else []
        watch([*job.get("parents", []), os.getppid()], [temporary, *handed])
        _run(job, tasks[job["task"]], channel, outputs)
    except InputError as error:
        channel.tell("error", kind="input", message=str(error)[:LONGEST_MESSAGE])
        return 2
    except (KeyboardInterrupt, Cancelled):
        with contextlib.suppress(OSError):
            channel.tell("error", kind="cancelled", message="Cancelled")
        return 130
    except BrokenPipeError:
        return 1  # nobody listens any more
    except MemoryError:
        channel.tell("error", kind="fault", message="The computer ran out of memory. Close other programs.")
        return 1
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("SynthCBVLib"):
            # What a task needs is installed before, unless the user has said no.
            missing = missing_package(error, "Click Apply and agree to the installation.")
            channel.tell("error", kind="input", message=str(missing))
            return 2
        channel.tell("error", kind="fault", message=f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE])
        return 1
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return 0


def read_job(path: Path, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Read and check a job file.

    Raises
    ------
    InputError
        If it is missing, no JSON object, of an unknown task, or lacks an entry.
    """
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"a job that cannot be read ({error.strerror})", "a job file") from error
    except ValueError as error:
        raise InputError(path, f"no JSON ({error})", "a job as a JSON object") from error
    if not isinstance(job, dict) or job.get("task") not in tasks:
        task = job.get("task") if isinstance(job, dict) else type(job).__name__
        raise InputError(path, f"the task {task!r}", f"one of {', '.join(tasks)}")
    required = (*tasks[job["task"]].required, "output")
    missing = [key for key in required if not isinstance(job.get(key), str) or not job[key]]
    if missing:
        raise InputError(path, f"no {', '.join(missing)}", "a text for each of them")
    if not all(isinstance(pid, int) and pid > 0 for pid in job.get("parents", [])):
        raise InputError(path, f"parents {job['parents']}", "a list of process ids")
    return job


def _run(job: Mapping[str, Any], task: Task, channel: Channel, outputs: _Outputs) -> None:
    """Run a task in the temporary folder, bring its files to their place and tell its result."""
    outputs.temporary.mkdir(parents=True)
    outcome = task.run(job, Teller(channel), outputs.temporary)
    places = {
        kind: outputs.final / path.relative_to(outputs.temporary) for kind, path in outcome.files.items()
    }
    _move(outputs)
    channel.tell("result", files={kind: str(path) for kind, path in places.items()}, **outcome.told)


def _cancel(number: int, frame: FrameType | None) -> None:
    raise Cancelled


def _outputs(final: Path) -> _Outputs:
    final = final.absolute()
    if final.exists() and not final.is_dir():
        raise InputError(final, "a file", "a folder for the outputs")
    return _Outputs(final, final.with_name(f".{final.name}-{uuid.uuid4().hex[:8]}"))


def _move(outputs: _Outputs) -> None:
    """Move the written folder, or what is in it, to its place."""
    if not outputs.final.exists():
        outputs.temporary.replace(outputs.final)
        return
    for path in sorted(outputs.temporary.iterdir()):
        path.replace(outputs.final / path.name)
