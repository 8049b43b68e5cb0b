"""A job in a worker process: started, listened to, cancelled. No Qt here; a timer calls `WorkerJob.poll`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SynthCBVLib.panel.processes import Launcher, Process, end_tree, launch_in_slicer

#: Lines of the worker's other output that are kept for a failure's report.
LOG_LINES = 200
#: Seconds in which the last words of an ended process must have arrived, or one that said them must end.
GRACE = 1.0


@dataclass(frozen=True)
class Progressed:
    """The work got further: `fraction` 0 to 1 of the whole."""

    fraction: float
    message: str


@dataclass(frozen=True)
class Noticed:
    """Something about the study that the user should know."""

    severity: str
    what: str
    remedy: str = ""
    modality: str = ""


@dataclass(frozen=True)
class Finished:
    """The job is done: its `files` by kind, and what else the task told."""

    files: Mapping[str, Path]
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """The job gave up; `kind` is "input" (of the user's making), "fault" (of ours) or "cancelled"."""

    kind: str
    message: str
    log: str = ""


Event = Progressed | Noticed | Finished | Failed


class WorkerJob:
    """One job in a worker process.

    Parameters
    ----------
    job : Mapping
        As in `SynthCBVLib.worker`; the ids of the processes it depends on are added.
    folder : Path
        Existing folder for the job file.
    launch : Launcher
        Starts the process; by default with Slicer's own Python.
    """

    def __init__(self, job: Mapping[str, Any], folder: Path, launch: Launcher = launch_in_slicer) -> None:
        path = folder / "job.json"
        path.write_text(json.dumps({**job, "parents": [os.getpid()]}), encoding="utf-8")
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._worker: int | None = None
        self._ended = self._closed = False
        self._silent_since = 0.0
        self._process: Process = launch(["-m", "SynthCBVLib.worker", str(path)])
        threading.Thread(target=self._read, name="worker output", daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether the last event is still to come."""
        return not self._ended

    @property
    def gone(self) -> bool:
        """Whether its process is no more."""
        return self._process.poll() is not None

    @property
    def log(self) -> str:
        """What libraries printed in the worker, the last lines."""
        return "\n".join(self._log)

    def poll(self) -> Sequence[Event]:
        """Give the events since the last call, at once; the last of a job is `Finished` or `Failed`."""
        events: list[Event] = []
        while not self._ended:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                if not self._all_said():
                    break
                event: Event | None = self._end_without_result()
            else:
                if line is None:
                    self._closed = True
                    continue
                event = self._understand(line)
            if event is not None:
                events.append(event)
            if isinstance(event, Finished | Failed):
                self._ended = True
                end_tree(self._process, self._worker)  # its last words are said: nothing may stay behind
        return events

    def cancel(self) -> None:
        """Have the worker ended with all it has started; no further event comes. See `gone`."""
        if self._ended:
            return
        self._ended = True
        self._drain()
        end_tree(self._process, self._worker)

    def _read(self) -> None:
        stream = self._process.stdout
        if isinstance(stream, io.TextIOWrapper):
            # Libraries may write in any encoding, events are plain ASCII. An error would take with it
            # whatever else had been read, the result perhaps.
            stream.reconfigure(encoding="utf-8", errors="replace")
        while stream is not None:
            try:
                line = stream.readline()
            except ValueError:
                break  # closed
            if not line:
                break
            self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

    def _all_said(self) -> bool:
        """Tell whether output and process have ended, or one of them a while ago.

        What the process has started may hold its output open.
        """
        if self._closed and self.gone:
            return True
        if not (self._closed or self.gone):
            return False
        self._silent_since = self._silent_since or time.monotonic()
        return time.monotonic() - self._silent_since > GRACE

    def _drain(self) -> None:
        """Look for the worker's process id among lines that were not polled yet."""
        while True:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                return
            if line is not None:
                self._understand(line)

    def _understand(self, line: str) -> Event | None:
        """Turn a line into an event; lines that are none go to the log."""
        if not line.strip():
            return None
        try:
            message = json.loads(line)
            kind = message["type"]
            if kind == "started":
                self._learn_group(int(message["pid"]), bool(message["group"]))
                return None
            if kind == "progress":
                return Progressed(min(max(float(message["fraction"]), 0.0), 1.0), str(message["message"]))
            if kind == "finding":
                keys = ("severity", "what", "remedy", "modality")
                return Noticed(*(str(message.get(key) or "") for key in keys))
            if kind == "error":
                return Failed(str(message["kind"]), str(message["message"]), self.log)
            if kind == "result":
                return self._result(message)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        self._log.append(line)
        return None

    def _learn_group(self, pid: int, leads: bool) -> None:
        """Remember the worker's group, unless it cannot be: ending a group must never hit others."""
        if self._worker is None and leads and os.name != "nt" and pid > 1:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == pid != os.getpgrp():
                    self._worker = pid

    def _result(self, message: Mapping[str, Any]) -> Event:
        files = {str(kind): Path(path) for kind, path in message["files"].items()}
        missing = [path.name for path in files.values() if not path.is_file()]
        told = {key: value for key, value in message.items() if key not in ("type", "files")}
        if missing or not (files or told):
            return Failed(
                "fault", f"Files of the result are missing: {', '.join(missing) or 'all'}", self.log
            )
        return Finished(files, told)

    def _end_without_result(self) -> Failed:
        code = self._process.poll()
        code = "unknown" if code is None else code
        message = f"The computation ended without a result (exit code {code})."
        if code == -9:
            message += " The system may have ended it for lack of memory; close other programs."
        if self._log:
            message += f" Its last message: {self._log[-1]}"
        return Failed("fault", message, self.log)


def sentence(text: str) -> str:
    """Give a text with a full stop, so that another sentence can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
