# ruff: noqa: T201
"""Measure the correction of echo-planar distortion on digital patients and undistorted twins.

python Testing/Benchmarks/bench_distortion.py [--patients 6] [--seed 8321] [--offset 100]

Each patient is simulated with a field offset (Hz) and, the same otherwise, without. The error is that of
the whole way from T2w to the DWI's point, over the brain, and within 35 mm of the sinuses and the ears.
Peer, where installed: antspyx, SyN with its deformation restricted to the phase direction, after the same
rigid alignment. Times are of the processor.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.imaging.distortion import estimate_distortion
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.phantom.protocol import COMPACT

#: Where the phantom's field is bent (LPS mm, patient's space), and how far from there counts as near, mm.
PLACES = np.array([(0, -54, -26), (0, -22, -34), (56, 20, -38), (-56, 20, -38)], float)
NEAR = 35.0
#: One point in so many of the brain is judged.
STEP = 23


def errors(points: np.ndarray, truth: np.ndarray, transform: sitk.Transform) -> np.ndarray:
    """Give the distance (mm) of mapped points from the true ones."""
    return np.linalg.norm([transform.TransformPoint(p) for p in points.tolist()] - truth, axis=1)


def trial(patient: DigitalPatient) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Give errors over the brain, which of them are near, and CPU seconds, of each way."""
    study = patient.study((Modality.DWI, Modality.T2W))
    b0, t2w = (sitk.Cast(study.scalar(m), sitk.sitkFloat32) for m in (Modality.DWI, Modality.T2W))
    brain = patient.truth(Modality.T2W).brain
    index = np.argwhere(sitk.GetArrayViewFromImage(brain) > 0)[::STEP, ::-1]
    points = np.array([brain.TransformIndexToPhysicalPoint(i) for i in index.tolist()])
    true = patient.transform(Modality.DWI, Modality.T2W)
    truth = np.array([true.TransformPoint(p) for p in points.tolist()])
    back = patient.transforms()[Modality.T2W].GetInverse()
    own = np.array([back.TransformPoint(p) for p in points.tolist()])
    near = (np.linalg.norm(own[:, None] - PLACES, axis=-1) < NEAR).any(axis=1)
    start = time.process_time()
    rigid = register(b0, t2w).transform
    results = {"rigid": (errors(points, truth, rigid), near, time.process_time() - start)}
    start = time.process_time()
    found = estimate_distortion(b0, t2w, rigid, 1, brain)
    spent = time.process_time() - start
    results["SynthCBV"] = (errors(points, truth, found.warped(found.aligned(rigid))), near, spent)
    words = f"{found.largest:.1f} mm" if found.applied else f"left alone: {found.reason}"
    print(f"  {patient.seed}, {patient.protocol.off_resonance:g} Hz: {words}", flush=True)
    return results


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=8321)
    parser.add_argument("--offset", type=float, default=100.0, help="Hz")
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    rows: dict[tuple[float, str], list[tuple[np.ndarray, np.ndarray, float]]] = {}
    for number in range(arguments.patients):
        for offset in (arguments.offset, 0.0):
            protocol = replace(COMPACT, off_resonance=offset, b_values=(0.0, 0.0, 1000.0))
            seed = arguments.seed + number
            patient = DigitalPatient(seed, ("wildtype", "mutant")[seed % 2], protocol)
            for way, result in trial(patient).items():
                rows.setdefault((offset, way), []).append(result)
    print("| offset Hz | way | patients | brain median mm | 95 % | near median mm | 95 % | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    for (offset, way), results in rows.items():
        cells = [
            np.median([quantile(e[near] if only else e) for e, near, _ in results])
            for only in (False, True)
            for quantile in (np.median, lambda e: np.percentile(e, 95))
        ]
        seconds = np.median([spent for *_, spent in results])
        numbers = " | ".join(f"{cell:.2f}" for cell in cells)
        print(f"| {offset:g} | {way} | {len(results)} | {numbers} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
