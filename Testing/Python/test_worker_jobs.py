"""What the panel makes of a worker's output, with a double of the process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from SynthCBVLib.panel.jobs import Failed, Finished, Noticed, Progressed, WorkerJob


class Process:
    """A process that said something and ended."""

    pid = 999_999_999

    def __init__(self, text: str, code: int = 0) -> None:
        self.stdout, self.code, self.killed = io.StringIO(text), code, 0

    def poll(self) -> int:
        return self.code

    def kill(self) -> None:
        self.killed += 1

    def wait(self, timeout: float | None = None) -> int:
        return self.code


def events_after(folder: Path, text: str, code: int = 0):
    job = WorkerJob({"task": "synthesize"}, folder, lambda _arguments: Process(text, code))
    events, end = [], time.monotonic() + 10
    while job.running and time.monotonic() < end:
        events += job.poll()
    assert not job.running
    assert job.poll() == []
    return events


def line(**message) -> str:
    return json.dumps(message) + "\n"


def test_events_come_in_order_and_the_result_ends_the_job(tmp_path):
    (tmp_path / "rcbv.nii.gz").write_text("map")
    text = (
        line(type="started", pid=os.getpid(), group=True)
        + line(type="progress", fraction=0.5, message="half")
        + "a library\n"
        + line(type="finding", severity="warning", what="thick", remedy="none", modality="T2w")
        + line(type="result", files={"rcbv": str(tmp_path / "rcbv.nii.gz")}, provenance={"unit": "1"})
        + line(type="progress", fraction=0.9, message="never heard")
    )
    assert events_after(tmp_path, text) == [
        Progressed(0.5, "half"),
        Noticed("warning", "thick", "none", "T2w"),
        Finished({"rcbv": tmp_path / "rcbv.nii.gz"}, {"provenance": {"unit": "1"}}),
    ]


@pytest.mark.parametrize(
    "noise",
    ["5", "[]", "null", "{}", '{"type": 3}', '{"type": "progress"}', '{"type": "progress", "fraction": "x"}',
     '{"type": "result"}', '{"type": "result", "files": 3}', '{"type": "started"}', "\x00\ufffd{{"],
)  # fmt: skip
def test_other_output_goes_to_the_log(tmp_path, noise):
    (failure,) = events_after(tmp_path, noise + "\n", code=3)
    assert failure.kind == "fault"
    assert "exit code 3" in failure.message
    assert noise in failure.log


def test_output_in_another_encoding_takes_nothing_with_it(tmp_path):
    """A library's bytes come in one piece with the result, and the application's encoding is another one."""
    said = b"C:\\Users\\\xc5\x81ukasz\\\xff warns\n" + line(type="result", files={}, answer=42).encode()
    process = Process("")
    for encoding in ("cp1252", "ascii", "utf-8"):
        process.stdout = io.TextIOWrapper(io.BytesIO(said), encoding=encoding)
        job = WorkerJob({"task": "synthesize"}, tmp_path, lambda _arguments: process)
        end = time.monotonic() + 10
        events = []
        while job.running and time.monotonic() < end:
            events += job.poll()
        assert events == [Finished({}, {"answer": 42})]
        assert "warns" in job.log


def test_a_fraction_out_of_bounds_is_brought_back(tmp_path):
    text = line(type="progress", fraction=7, message="")
    assert events_after(tmp_path, text)[0] == Progressed(1.0, "")


def test_a_result_without_its_files_is_a_failure(tmp_path):
    for files in ({"rcbv": str(tmp_path / "gone.nii.gz")}, {}):
        (failure,) = events_after(tmp_path, line(type="result", files=files))
        assert failure == Failed("fault", failure.message, "")
        assert "missing" in failure.message


def test_lack_of_memory_is_guessed(tmp_path):
    assert "memory" in events_after(tmp_path, "", code=-9)[0].message


@pytest.mark.skipif(os.name == "nt", reason="no process groups")
def test_a_group_that_is_not_the_workers_is_never_ended(tmp_path, monkeypatch):
    """Not init, not our own group, not a process that leads none."""
    ended = []
    monkeypatch.setattr(os, "killpg", lambda group, number: ended.append(group))
    follower = subprocess.Popen(["sleep", "60"])
    try:
        for pid in (1, 0, -1, os.getpgrp(), follower.pid):
            events_after(tmp_path, line(type="started", pid=pid, group=True))
    finally:
        follower.kill()
        follower.wait()
    assert ended == []


def test_the_job_names_this_process_as_its_parent(tmp_path):
    WorkerJob({"task": "synthesize"}, tmp_path, lambda _arguments: Process("")).cancel()
    assert json.loads((tmp_path / "job.json").read_text())["parents"] == [os.getpid()]
