"""Digital patients as a BIDS dataset with their truth as a derivative."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields
from pathlib import Path

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.phantom.patient import DigitalPatient
from SynthCBVLib.phantom.protocol import find_protocol
from SynthCBVLib.progress import Progress, silent

#: Folder of the truth below the dataset's.
TRUTH = Path("derivatives") / "synthcbv-truth"
_DESCRIPTION = {
    "Name": "Truth of SynthCBV digital patients",
    "BIDSVersion": "1.9.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "SynthCBV phantom"}],
}

_COLUMNS = {
    "idh": {"Description": "Disease: glioma by IDH status, recurrence, response, metastasis or none"},
    "seed": {"Description": "Seed that the patient was drawn from"},
    "protocol": {"Description": "Image sizes: compact or paper"},
}
_README = """Digital patients of SynthCBV: simulated exams, no person's data.

Their truth is in derivatives/synthcbv-truth: maps, fractions, lesion labels (1 solid, 2 necrosis, 3 oedema
and infiltration, 4 resection cavity) and regions on the grid of the T2w image, and the head's pose in each
image. Maps that a scanner computes (ADC, CBF, rCBV) lie beside the images and are listed in .bidsignore.
"""


def kinds(idh: str, count: int) -> tuple[str, ...]:
    """Give each patient's disease.

    "mixed" alternates wildtype and mutant, "treated" recurrence and response.
    """
    cycle = {"mixed": ("wildtype", "mutant"), "treated": ("recurrence", "response")}.get(idh, (idh,))
    return tuple(cycle[i % len(cycle)] for i in range(count))


def write_dataset(
    folder: Path, seeds: Sequence[int], idh: Sequence[str], protocol: str = "compact", workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:  # fmt: skip
    """Write digital patients as BIDS subjects; patients that are there already are left as they are.

    Parameters
    ----------
    folder : Path
        The dataset's folder; made if need be.
    seeds : sequence of int
        Seed of each patient.
    idh : sequence of str
        Disease of each, as for `DigitalPatient`.
    protocol : str
        Name of the protocol.
    workers : int
        Processes.
    progress : Progress, optional
        Called after each patient; may raise `Cancelled`, and a later call goes on from there.

    Returns
    -------
    list of Path
        The subjects' folders.

    Raises
    ------
    InputError
        If another patient of the same seed is in the folder.
    """
    progress = progress or silent
    folder = Path(folder)
    find_protocol(protocol)
    jobs = [
        (seed, kind)
        for seed, kind in zip(seeds, idh, strict=True)
        if not _is_done(folder, seed, kind, protocol)
    ]
    done = len(seeds) - len(jobs)
    progress(done / max(len(seeds), 1), f"{done} of {len(seeds)} patients are there")
    try:
        if workers <= 1 or len(jobs) < 2:
            for seed, kind in jobs:
                write_patient(folder, seed, kind, protocol)
                done += 1
                progress(done / len(seeds), f"patient {done} of {len(seeds)}")
        else:
            # Fresh interpreters: forking a process whose libraries run threads can hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
                futures = [pool.submit(write_patient, folder, seed, kind, protocol) for seed, kind in jobs]
                try:
                    for future in as_completed(futures):
                        future.result()
                        done += 1
                        progress(done / len(seeds), f"patient {done} of {len(seeds)}")
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
    finally:
        _write_participants(folder)
    return [folder / f"sub-{seed:05d}" for seed in seeds]


def write_patient(folder: Path, seed: int, idh: str, protocol: str = "compact") -> Path:
    """Write one patient's images (BIDS) and truth (derivative).

    The truth lies on the T2w image's grid: maps, lesion labels and regions (1 to 3 tumour, 4 to 6 white
    matter); its JSON, with the head's pose in each image, comes last and marks the patient as done.
    """
    from SynthCBVLib.imaging.files import write_image, write_regions, write_study
    from SynthCBVLib.imaging.resampling import matrix_of

    patient = DigitalPatient(seed, idh, protocol)
    study = patient.study()
    subject = write_study(study, folder)
    _describe(folder)
    # Trace images have no direction; validators want the file all the same.
    zeros = " ".join("0" for _ in patient.protocol.b_values)
    _write_text(subject / "dwi" / f"{subject.name}_dwi.bvec", f"{zeros}\n{zeros}\n{zeros}\n")
    target = folder / TRUTH / subject.name
    truth = patient.truth()
    for field in fields(truth):
        value = getattr(truth, field.name)
        if isinstance(value, sitk.Image):
            name = field.name.replace("_", "")
            write_image(value, target / f"{subject.name}_space-T2w_desc-{name}_truth.nii.gz")
    if truth.tumour:
        regions = {f"Tumour {i}": mask for i, mask in enumerate(truth.tumour, 1)}
        regions |= {f"White matter {i}": mask for i, mask in enumerate(truth.white_matter, 1)}
        write_regions(regions, target / f"{subject.name}_space-T2w_desc-regions_dseg.nii.gz")
    poses = {str(modality): matrix_of(pose).tolist() for modality, pose in patient.transforms().items()}
    record = {"seed": seed, "idh": idh, "protocol": protocol, "poses_lps_patient_to_image": poses}
    _write_text(_record(folder, seed), json.dumps(record, indent=2) + "\n")
    return subject


def _describe(folder: Path) -> None:
    """Write what the dataset says of itself, where it does not yet."""
    texts = {
        folder / TRUTH / "dataset_description.json": json.dumps(_DESCRIPTION, indent=2) + "\n",
        folder / "participants.json": json.dumps(_COLUMNS, indent=2) + "\n",
        folder / "README": _README,
    }
    for path, text in texts.items():
        if not path.exists():
            _write_text(path, text)


def _record(folder: Path, seed: int) -> Path:
    label = f"sub-{seed:05d}"
    return folder / TRUTH / label / f"{label}_truth.json"


def _is_done(folder: Path, seed: int, idh: str, protocol: str) -> bool:
    path = _record(folder, seed)
    if not path.is_file():
        return False
    record = json.loads(path.read_text(encoding="utf-8"))
    there = {key: record.get(key) for key in ("seed", "idh", "protocol")}
    wanted = {"seed": seed, "idh": idh, "protocol": protocol}
    if there != wanted:
        remedy = "Write to another folder or take other seeds."
        raise InputError(path, f"a patient with {there}", f"one with {wanted}", remedy)
    return True


def _write_participants(folder: Path) -> None:
    """List all finished patients of the folder."""
    rows = ["participant_id\tidh\tseed\tprotocol"]
    for path in sorted((folder / TRUTH).glob("sub-*/sub-*_truth.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        rows.append(f"{path.parent.name}\t{record['idh']}\t{record['seed']}\t{record['protocol']}")
    if len(rows) > 1:
        _write_text(folder / "participants.tsv", "\n".join(rows) + "\n")


def _write_text(path: Path, text: str) -> None:
    from SynthCBVLib.imaging.files import written_whole

    with written_whole(path) as (temporary,):
        temporary.write_text(text, encoding="utf-8")


def _one_thread() -> None:
    """Leave the other cores to the other workers."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
