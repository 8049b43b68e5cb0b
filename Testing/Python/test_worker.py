"""The worker as a process: its events, its outputs, and that it never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

#: A task whose doings are decided by the name of the model.
DOUBLE = """
import os, subprocess, sys, time
from pathlib import Path
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.worker import main
from SynthCBVLib.worker.task import Outcome, Task

def run(job, teller, folder):
    model = job["model"]
    if not Path(job["study"]).is_dir():
        raise InputError(job["study"], "no such folder", "a folder")
    teller.progress(0.25, "Registering \\u00e9")
    print("a library prints to stdout"); os.write(1, b"and to descriptor 1, without an end of line")
    if model == "fault":
        raise ValueError("unexpected")
    if model == "memory":
        raise MemoryError
    if model == "package":
        import package_that_nobody_has
    if model == "slow":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        teller.progress(0.5, f"child {child.pid}")
        time.sleep(120)
    if model == "hidden":
        teller.progress("no number", None)
    teller.finding(Finding("warning", "T2w", "thick slices", ""))
    (folder / "rcbv.nii.gz").write_text("map")
    if model == "full disk":
        raise OSError(28, "No space left on device")
    (folder / "mask.nii.gz").write_text("mask")
    files = {"rcbv": folder / "rcbv.nii.gz", "mask": folder / "mask.nii.gz"}
    return Outcome(files, {"provenance": {"model": model}})

sys.exit(main(tasks={"synthesize": Task(("study", "model"), run)}))
"""


@pytest.fixture
def start(tmp_path):
    """Start a worker for a model and give the process; ends those that a test leaves."""
    started = []
    (tmp_path / "sub-01").mkdir()

    def run(model: str, merged: bool = False, **changes) -> subprocess.Popen:
        job = {"task": "synthesize", "study": str(tmp_path / "sub-01"), "model": model,
               "output": str(tmp_path / "maps"), **changes}  # fmt: skip
        path = tmp_path / "job.json"
        path.write_text(json.dumps({key: value for key, value in job.items() if value is not None}))
        process = subprocess.Popen(
            [sys.executable, "-c", DOUBLE, str(path)],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True, encoding="utf-8",
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def events_of(text: str) -> list[dict]:
    """Give the events among lines of all kinds, as a panel has to."""
    events = []
    for line in text.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        events.append(message)
    return events


def test_a_job_tells_progress_findings_and_result(start, tmp_path):
    process = start("ivim")
    out, err = process.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines() if line]  # nothing but events
    assert [event["type"] for event in events] == ["started", "progress", "finding", "result"]
    assert events[0]["pid"] == process.pid
    assert events[1] == {"type": "progress", "fraction": 0.25, "message": "Registering é"}
    assert events[2]["what"] == "thick slices"
    assert events[3]["files"] == {
        kind: str(tmp_path / "maps" / f"{kind}.nii.gz") for kind in ("rcbv", "mask")
    }
    assert events[3]["provenance"] == {"model": "ivim"}
    assert "descriptor 1" in err
    assert process.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.json", "maps", "sub-01"]


def test_events_stay_whole_lines_when_both_streams_are_one(start):
    out, _ = start("ivim", merged=True).communicate(timeout=60)
    assert [event["type"] for event in events_of(out)] == ["started", "progress", "finding", "result"]
    assert "without an end of line" in out


def test_outputs_join_what_is_in_the_folder(start, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "older.txt").write_text("kept")
    assert start("ivim").wait(60) == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "mask.nii.gz",
        "older.txt",
        "rcbv.nii.gz",
    ]


@pytest.mark.parametrize(
    ("model", "changes", "code", "kind", "words"),
    [
        ("ivim", {"study": "/no/such/folder"}, 2, "input", "no such folder"),
        ("ivim", {"task": "fly"}, 2, "input", "the task 'fly'"),
        ("ivim", {"output": None}, 2, "input", "no output"),
        ("ivim", {"parents": ["x"]}, 2, "input", "process ids"),
        ("fault", {}, 1, "fault", "ValueError: unexpected"),
        ("hidden", {}, 1, "fault", "ValueError"),
        ("memory", {}, 1, "fault", "out of memory"),
        ("package", {}, 2, "input", "package_that_nobody_has: not installed"),
        ("full disk", {}, 1, "fault", "No space left"),
    ],
)
def test_failures_leave_a_message_and_no_file(start, tmp_path, model, changes, code, kind, words):
    process = start(model, **changes)
    out, _ = process.communicate(timeout=60)
    last = events_of(out)[-1]
    assert (last["type"], last["kind"]) == ("error", kind)
    assert words in last["message"]
    assert process.returncode == code
    assert not (tmp_path / "maps").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".maps")]


def test_a_job_that_is_no_json_is_bad_input(tmp_path):
    (tmp_path / "job.json").write_text("{")
    for argument in ("job.json", "gone.json"):
        done = subprocess.run(
            [sys.executable, "-m", "SynthCBVLib.worker", str(tmp_path / argument)],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert events_of(done.stdout)[-1]["kind"] == "input"


def wait_until(condition, seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def child_of(process: subprocess.Popen) -> int:
    for line in process.stdout:
        if "child " in line:
            return int(json.loads(line)["message"].split()[1])
    raise AssertionError("the worker told of no child")


@pytest.mark.skipif(os.name == "nt", reason="no POSIX signals")
def test_terminate_cancels_and_leaves_no_file(start, tmp_path):
    process = start("slow")
    child = child_of(process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.stdout.read(), process.wait(15)
    assert events_of(out)[-1]["kind"] == "cancelled"
    assert process.returncode == 130
    assert not (tmp_path / "maps").exists()
    os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_the_whole_tree_ends_with_its_group(start):
    process = start("slow")
    child = child_of(process)
    os.killpg(process.pid, signal.SIGKILL)  # the worker leads a group of its own
    assert process.wait(5) == -signal.SIGKILL
    assert wait_until(lambda: not alive(child))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize("named", [False, True], ids=["parent", "named in the job"])
def test_no_orphan_stays_when_the_parent_is_gone(start, tmp_path, named):
    """`parent` starts the worker itself; in Slicer a launcher stands between, so the job names the panel."""
    if named:
        panel = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        worker = start("slow", parents=[panel.pid], handed=True)
        child = child_of(worker)
        panel.kill()
        panel.wait()
        assert wait_until(lambda: worker.poll() is not None)
        assert wait_until(lambda: not alive(child))
        assert not (tmp_path / "job.json").exists()  # what the panel handed over
        return
    start("ivim").wait(60)  # writes the job file
    job = json.loads((tmp_path / "job.json").read_text())
    (tmp_path / "job.json").write_text(json.dumps({**job, "model": "slow"}))
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {DOUBLE!r}, {str(tmp_path / 'job.json')!r}])\n"
        "time.sleep(120)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    pids = []
    for line in parent.stdout:
        if '"started"' in line:
            pids.append(json.loads(line)["pid"])
        if "child " in line:
            pids.append(int(json.loads(line)["message"].split()[1]))
            break
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert len(pids) == 2
    assert wait_until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.skipif(os.name == "nt", reason="no niceness")
def test_the_worker_stands_behind_the_panel():
    code = "import os; from SynthCBVLib.worker.processes import stand_back; stand_back(); print(os.nice(0))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert int(done.stdout) == min(19, os.nice(0) + 10)
