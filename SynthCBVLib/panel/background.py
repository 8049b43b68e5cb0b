"""A synthesis for the scene: here and now, or in a worker process. No Qt; a timer calls `poll`."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import write_study
from SynthCBVLib.imaging.study import Modality, Study, same_grid
from SynthCBVLib.panel.jobs import Failed, Finished, Noticed, Progressed, WorkerJob
from SynthCBVLib.panel.processes import Launcher, launch_in_slicer
from SynthCBVLib.progress import Progress
from SynthCBVLib.scene import SynthesisNodes, add_synthesis, current_scene

if TYPE_CHECKING:
    import os

#: Seconds of each tick lent to the writing thread: an idle application may hold Python's lock itself.
_LENT = 0.03


@dataclass(frozen=True)
class Request:
    """What to synthesise.

    Parameters
    ----------
    study : Study
        The images.
    model : str
        Bundled model ("ivim", "asl") or the path of a weights file.
    name : str
        Stands before the names of the nodes that are made.
    device : str
        "auto", "cpu", "cuda" or "mps".
    """

    study: Study
    model: str
    name: str
    device: str = "auto"


class Listener(Protocol):
    """Is told what happens to a background synthesis; the last call is `finished` or `failed`."""

    def progressed(self, fraction: float, message: str) -> None:
        """Hear that the work got further."""

    def noticed(self, finding: Noticed) -> None:
        """Hear of something about the study."""

    def finished(self, nodes: SynthesisNodes) -> None:
        """Hear that the maps are in the scene."""

    def failed(self, failure: Failed) -> None:
        """Hear that nothing was made."""


@dataclass(frozen=True)
class _Maps:
    """Maps that a worker wrote."""

    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: Mapping[str, Any]
    findings: tuple[Noticed, ...]


class BackgroundSynthesis:
    """A synthesis in a worker process, whose maps end in the scene.

    Parameters
    ----------
    request : Request
        What to synthesise; its study is written to a temporary folder for the worker.
    listener : Listener
        Told from within `poll`.
    launch : Launcher
        Starts the worker.
    temporary : path, optional
        Where to make the temporary folder; the system's place by default. It is gone after the end.
    """

    def __init__(
        self,
        request: Request,
        listener: Listener,
        launch: Launcher = launch_in_slicer,
        temporary: str | os.PathLike[str] | None = None,
    ) -> None:
        self._request, self._listener, self._launch = request, listener, launch
        self._findings: list[Noticed] = []
        self._job: WorkerJob | None = None
        self._problem: Exception | None = None
        self._over = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="SynthCBV-", dir=temporary))
        # Writing the images takes seconds and leaves Python's lock alone: Slicer stays live meanwhile.
        self._preparation = threading.Thread(target=self._prepare, name="study for the worker", daemon=True)
        self._preparation.start()

    @property
    def running(self) -> bool:
        """Whether the end is still to come."""
        return not self._over.is_set()

    def poll(self) -> None:
        """Tell the listener what happened since the last call."""
        if self._over.is_set():
            return
        self._preparation.join(_LENT)
        if self._preparation.is_alive():
            return
        if self._job is None:
            self._end()
            self._listener.failed(_failure(self._problem))
            return
        for event in self._job.poll():
            if isinstance(event, Progressed):
                self._listener.progressed(event.fraction, event.message)
            elif isinstance(event, Noticed):
                self._findings.append(event)
                self._listener.noticed(event)
            elif isinstance(event, Failed):
                self._end()
                self._listener.failed(event)
            else:
                self._finish(event)

    def cancel(self) -> None:
        """End the worker and leave nothing: no process, no file, no node; the listener hears no more."""
        self._over.set()
        if not self._preparation.is_alive():  # else it sees that all is over, and cleans up
            self._end()

    def _prepare(self) -> None:
        """Write the study and start the worker, in a thread of its own."""
        try:
            write_study(self._request.study, self._folder / "study")
            job = {
                "task": "synthesize",
                "study": str(self._folder / "study"),
                "subject": self._request.study.subject,
                "model": self._request.model,
                "device": self._request.device,
                "output": str(self._folder / "maps"),
            }
            if not self._over.is_set():
                self._job = WorkerJob(job, self._folder, self._launch)
        except Exception as error:
            self._problem = error
        if self._over.is_set():
            self._end()

    def _end(self) -> None:
        """End the worker, if there is one, and remove the files."""
        self._over.set()
        if self._job is not None:
            self._job.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _finish(self, event: Finished) -> None:
        nodes, problem = None, None
        try:
            nodes = add_synthesis(self._read(event), free_name(self._request.name))
        except Exception as error:
            problem = error
        self._end()
        if nodes is not None:
            self._listener.finished(nodes)
        else:
            self._listener.failed(_failure(problem))

    def _read(self, event: Finished) -> _Maps:
        images = {kind: sitk.ReadImage(str(event.files[kind])) for kind in ("rcbv", "uncertainty", "mask")}
        reference = event.provenance.get("reference")
        if reference is not None:
            grid = self._request.study.scalar(Modality(reference))
            for image in images.values():
                if same_grid(image, grid, 1e-2):
                    image.CopyInformation(grid)  # NIfTI keeps geometry in single precision
        return _Maps(**images, provenance=event.provenance, findings=tuple(self._findings))


def synthesize_here(request: Request, progress: Progress | None = None) -> SynthesisNodes:
    """Synthesise in this process and put the maps into the scene; blocks until done.

    Raises
    ------
    InputError
        If the study cannot serve the model.
    """
    from SynthCBVLib.synthesis import load_model, synthesize

    result = synthesize(request.study, load_model(request.model), request.device, progress)
    return add_synthesis(result, free_name(request.name))


def free_name(name: str) -> str:
    """Give a name for new maps that no older maps of the scene have: "name", "name 2", ..."""
    scene, number, free = current_scene(), 1, name
    while scene.GetFirstNodeByName(f"{free} synthetic rCBV") is not None:
        number += 1
        free = f"{name} {number}"
    return free


def _failure(problem: Exception | None) -> Failed:
    """Tell the user's mistakes from ours."""
    if isinstance(problem, InputError):
        return Failed("input", str(problem))
    return Failed("fault", f"{type(problem).__name__}: {problem}")
