# ruff: noqa: T201
"""Measure how long the bundled networks take and what memory, beside MONAI's sliding windows; print a table.

python Testing/Benchmarks/bench_inference.py [--threads 2] [--runs 5] [--without-peers]

Inputs are those of a digital patient, laid into the size that is asked for with the air's noise around it.
Each row runs in a process of its own. Times are wall-clock seconds, the best of the runs, and the CPU seconds
of that run: on a computer that does other work, wall-clock is more than what the network needs. Memory is the
largest resident size of the process, libraries included. The peer: monai.inferers.sliding_window_inference,
windows of 96 x 96 that overlap by half, over the same slices, same weights; where it is not installed its
rows are left out (see requirements.txt). Ours is what `synthesize` does: the box around the brain alone, and
its mirror image too where the card says so; then whole slices, once, as the windows do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

#: Model; slices, rows, columns; the bar in seconds, and in GB.
CASES = (("ivim", (20, 304, 304), 1.0, None), ("asl", (20, 192, 160), 8.0, 3.0))
SEED = 300


def patient() -> dict[str, Any]:
    """Prepare a digital patient for both models."""
    from SynthCBVLib.synthesis import load_model
    from SynthCBVLib.training.preparation import digital_cases

    return digital_cases(SEED, "wildtype", {name: load_model(name).card for name, *_ in CASES})


def inputs(case: Any, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Lay a prepared case into a volume of a given size, with the air's noise around it."""
    rng = np.random.default_rng(0)
    channels = np.asarray(case.channels, dtype=np.float32)
    corner = channels[:, :, :6, :6]
    laid = rng.choice(corner.ravel(), (len(channels), *shape)).astype(np.float32)
    mask, real = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.float32)
    own, whole = [], []
    for have, want in zip(channels.shape[1:], shape, strict=True):
        size = min(have, want)
        own.append(slice((have - size) // 2, (have - size) // 2 + size))
        whole.append(slice((want - size) // 2, (want - size) // 2 + size))
    laid[(slice(None), *whole)] = channels[(slice(None), *own)]
    mask[tuple(whole)] = (case.mask * case.known)[tuple(own)] > 0
    real[tuple(whole)] = case.target[tuple(own)]
    return {"channels": laid, "present": np.asarray(case.present), "mask": mask, "real": real}


def as_shipped(name: str, channels: np.ndarray, present: np.ndarray, mask: np.ndarray) -> np.ndarray:
    from SynthCBVLib.synthesis import load_model
    from SynthCBVLib.synthesis.brain_box import infer_brain

    model = load_model(name)
    return infer_brain(model.network, channels, present, mask, "cpu", mirrored=model.card.mirrored).location


def whole_volume(name: str, channels: np.ndarray, present: np.ndarray, mask: np.ndarray) -> np.ndarray:
    from SynthCBVLib.synthesis import load_model
    from SynthCBVLib.synthesis.inference import infer

    return infer(load_model(name).network, channels, present, "cpu").location


def sliding_windows(
    name: str,
    channels: np.ndarray,
    present: np.ndarray,
    mask: np.ndarray,
    window: tuple[int, int] = (96, 96),
) -> np.ndarray:
    import torch
    from monai.inferers import sliding_window_inference

    from SynthCBVLib.synthesis import load_model

    network = load_model(name).network
    weights = torch.from_numpy(present)[None]

    def predict(patches: torch.Tensor) -> torch.Tensor:
        return network(patches[:, :, None], weights.expand(len(patches), -1)).location[:, :, 0]

    with torch.inference_mode():
        slices = torch.from_numpy(channels).transpose(0, 1).contiguous()
        maps = sliding_window_inference(slices, window, 8, predict, overlap=0.5, mode="gaussian")
    return maps[:, 0].numpy()


def one_window(name: str, channels: np.ndarray, present: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return sliding_windows(name, channels, present, mask, channels.shape[2:])


WAYS: dict[str, Callable[..., np.ndarray]] = {
    "ours": as_shipped, "ours-whole": whole_volume, "monai": sliding_windows, "monai-whole": one_window,
}  # fmt: skip


def measure(way: str, name: str, source: Path, target: Path, threads: int, runs: int) -> None:
    """Run one row in this process; prints JSON."""
    import torch

    torch.set_num_threads(threads)
    with np.load(source) as arrays:
        channels, present, mask = arrays["channels"], arrays["present"], arrays["mask"]
    best = (np.inf, np.inf)
    for _ in range(runs):
        cpu, wall = time.process_time(), time.perf_counter()
        maps = WAYS[way](name, channels, present, mask)
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    np.save(target, maps)
    print(json.dumps({"wall": best[0], "cpu": best[1], "memory": peak_memory() / 1e9}))


def peak_memory() -> float:
    """Largest resident size of this process, bytes."""
    try:  # unlike getrusage it does not count what the parent held when it started this process
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        scale = 1 if sys.platform == "darwin" else 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


def run_row(way: str, name: str, folder: Path, threads: int, runs: int) -> dict[str, float]:
    arguments = [
        sys.executable, str(Path(__file__).resolve()), "--row", way, name,
        str(folder / f"{name}.npz"), str(folder / f"{name}-{way}.npy"),
        "--threads", str(threads), "--runs", str(runs),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--row", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        way, name, source, target = args.row
        measure(way, name, Path(source), Path(target), args.threads, args.runs)
        return
    peers = not args.without_peers and find_spec("monai") is not None
    load = f", load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"{args.threads} threads, best of {args.runs}{load}\n")
    print("| model | volume | way | wall s | CPU s | GB | bar | |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        compared, cases = "", patient()
        for name, shape, seconds, memory in CASES:
            np.savez(folder / f"{name}.npz", **inputs(cases[name], shape))
            ours = run_row("ours", name, folder, args.threads, args.runs)
            bar = f"<= {seconds:g} s" + (f", {memory:g} GB" if memory else "")
            held = ours["wall"] <= seconds and (memory is None or ours["memory"] <= memory)
            size = "x".join(map(str, shape))
            print(_line(name, size, "ours, the brain's box", ours, bar, "held" if held else "MISSED"))
            whole = run_row("ours-whole", name, folder, args.threads, args.runs)
            print(_line(name, size, "ours, whole slices", whole, "", ""))
            if name == "ivim" and peers:
                peer = run_row("monai", name, folder, args.threads, max(1, args.runs // 2))
                ratio, of_whole = peer["wall"] / ours["wall"], peer["wall"] / whole["wall"]
                text = "held" if ratio >= 5 else "MISSED"
                print(
                    _line(
                        name,
                        size,
                        "MONAI",
                        peer,
                        ">= 5 x ours",
                        f"{ratio:.1f} x {text}; {of_whole:.1f} x ours without the box",
                    )
                )
                run_row("monai-whole", name, folder, args.threads, 1)
                compared = compare(folder, name)
    print(f"\n{compared}" if compared else "")


def _line(name: str, size: str, way: str, row: dict[str, float], bar: str, text: str) -> str:
    figures = " | ".join(f"{row[key]:.2f}" for key in ("wall", "cpu", "memory"))
    return f"| {name} | {size} | {way} | {figures} | {bar} | {text} |"


def compare(folder: Path, name: str) -> str:
    """Say how far the two maps are apart inside the brain, and at which windows' borders."""
    from SynthCBVLib.analysis import similarity

    ours, whole, peer, single = (np.load(folder / f"{name}-{way}.npy") for way in WAYS)
    with np.load(folder / f"{name}.npz") as arrays:
        mask, real = arrays["mask"], arrays["real"]
    likeness = [
        similarity.ssim(real, np.where(mask, np.maximum(maps, 0), 0), mask.astype(np.uint8))
        for maps in (ours, peer)
    ]
    span = float(ours[mask].max() - ours[mask].min())
    apart = np.abs(ours - peer)[mask] / span
    shares = ", ".join(f"{q:g} % of voxels within {np.percentile(apart, q):.2%}" for q in (50, 95, 99))
    boxed = np.abs(ours - whole)[mask] / span
    rounding = np.abs(whole - single)[mask].max() / span
    return (
        f"Box and mirrored mean change the map by {boxed.mean():.2%} of its range on average, "
        f"{boxed.max():.2%} at most. "
        f"MONAI's map against ours, of the map's range in the brain: mean {apart.mean():.2%}, {shares}, "
        f"largest {apart.max():.2%}; {np.mean(apart < 0.01):.0%} of voxels below 1 %. With one window as "
        f"large as the slice MONAI's map is ours (of whole slices) to {rounding:.1e}: what "
        "differs is what a window does not see. SSIM with the real map: "
        f"ours {likeness[0]:.3f}, windows {likeness[1]:.3f}."
    )


if __name__ == "__main__":
    main()
