"""One model on one exam: likeness to the real map, the ratio of the regions, and how its uncertainty fits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis import similarity
from SynthCBVLib.analysis.regions import split_regions, t_wm_ratio
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, like
from SynthCBVLib.progress import Progress
from SynthCBVLib.synthesis.brain_box import mean_with_mirror
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.cases import Case
from SynthCBVLib.training.evaluation.preparing import Ready, open_ready
from SynthCBVLib.training.evaluation.subjects import Subject
from SynthCBVLib.training.preparation import run_jobs

if TYPE_CHECKING:
    from torch import nn

#: Counted up when scores are no longer what they were.
VERSION = 1
#: The combination of all inputs that an exam has.
ALL = "all"
#: Bins of |error| / Laplace scale: fifty a decade, 2 % wide; the first and last take what lies beyond.
ERROR_EDGES = np.logspace(-3, 3, 601)


@dataclass(frozen=True)
class Score:
    """What was measured of one map.

    Attributes
    ----------
    ssim, psnr : float
        Mean SSIM of the slices and PSNR (dB) over the brain's box; NaN without a real map.
    ratio : float
        T/WM of the regions; NaN without regions.
    log_sd : float
        Standard deviation of the ratio's logarithm by the map's own uncertainty; NaN without.
    errors : tuple of int
        Voxels of the brain by |error| / scale, in the bins of `ERROR_EDGES` with one more at each end; empty
        without a real map or a scale.
    """

    ssim: float
    psnr: float
    ratio: float = math.nan
    log_sd: float = math.nan
    errors: tuple[int, ...] = ()


def score_map(
    case: Case, location: np.ndarray, scale: np.ndarray | None = None, ready: Ready | None = None
) -> Score:
    """Measure a map.

    Parameters
    ----------
    case : Case
        With the real map.
    location : ndarray (z, y, x)
        Synthetic map in the real map's unit; values below 0 become 0, as in a synthesis.
    scale : ndarray (z, y, x), optional
        Laplace scale.
    ready : Ready, optional
        Gives the regions; without it no ratio is computed.
    """
    inside = np.asarray(case.mask * case.known) > 0
    location = np.maximum(location, 0.0)
    likeness = (math.nan, math.nan)
    errors: tuple[int, ...] = ()
    if inside.any():
        real = np.where(inside, case.target, 0.0).astype(np.float32)
        found = similarity.compare(real, np.where(inside, location, 0.0), inside.astype(np.uint8))
        likeness = found.ssim, found.psnr
        if scale is not None:
            bins = np.searchsorted(ERROR_EDGES, np.abs(real - location)[inside] / scale[inside])
            errors = tuple(int(n) for n in np.bincount(bins, minlength=ERROR_EDGES.size + 1))
    ratio = log_sd = math.nan
    if ready is not None and ready.regions:
        ratio, log_sd = _ratio(np.asarray(case.mask), location, scale, ready)
    return Score(*likeness, ratio, log_sd, errors)


def _ratio(mask: np.ndarray, location: np.ndarray, scale: np.ndarray | None, ready: Ready) -> tuple:
    """Give the T/WM ratio and the SD of its logarithm on the reference's grid, as the verb ratios does."""
    tumour, white_matter = split_regions(ready.regions)
    reference = next(iter(ready.regions.values()))
    brain = resample(like(mask, ready.grid), reference, interpolation="nearest") > 0

    def laid(array: np.ndarray) -> sitk.Image:
        return sitk.Mask(resample(like(array.astype(np.float32), ready.grid), reference), brain)

    map = laid(location)
    try:
        if scale is None:
            return t_wm_ratio(map, tumour, white_matter).ratio, math.nan
        # The standard deviation of a Laplace distribution is √2 times its scale.
        found = ratio_uncertainty(map, laid(math.sqrt(2.0) * scale), tumour, white_matter)
        return found.ratio, found.relative_sd
    except InputError:  # regions where the map is 0 have no ratio
        return math.nan, math.nan


def combination(card: ModelCard, modalities: Sequence[Modality]) -> str:
    """Give the name of a combination of inputs, in the card's order."""
    wanted = set(modalities)
    return "+".join(spec.modality.value for spec in card.inputs if spec.modality in wanted)


def estimates(
    network: nn.Module, card: ModelCard, case: Case, combinations: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Run a network for several combinations of inputs; each input is encoded once where it can be.

    Parameters
    ----------
    network, card : torch.nn.Module, ModelCard
        The model, in evaluation mode, on the CPU.
    case : Case
        The exam.
    combinations : sequence of str
        `ALL`, or names by `combination`; those with an input that the exam lacks are left out.

    Yields
    ------
    tuple
        Combination, location and Laplace scale (z, y, x).
    """
    channels = case.crop()
    own = _estimates(network, card, channels, np.array(case.present), combinations)
    if not card.mirrored:
        yield from own
        return
    mirror = _estimates(
        network, card, np.ascontiguousarray(channels[..., ::-1]), np.array(case.present), combinations
    )
    for (name, location, scale), (_, location_m, scale_m) in zip(own, mirror, strict=True):
        yield name, mean_with_mirror(location, location_m), mean_with_mirror(scale, scale_m)


def _estimates(
    network: nn.Module, card: ModelCard, channels: np.ndarray, has: np.ndarray, combinations: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    import torch

    from SynthCBVLib.networks.estimate import estimate, pad_to_multiple
    from SynthCBVLib.networks.iedn import IEDN
    from SynthCBVLib.synthesis.fused import fused
    from SynthCBVLib.synthesis.inference import infer

    names = [spec.modality.value for spec in card.inputs]
    latents: dict[int, list[torch.Tensor]] = {}
    runner = fused(network) if isinstance(network, IEDN) else network
    for name in combinations:
        wanted = [i for i in range(len(names)) if has[i]] if name == ALL else [
            names.index(one) for one in name.split("+")
        ]  # fmt: skip
        if not wanted or not all(has[i] for i in wanted):
            continue
        if not isinstance(runner, IEDN):
            present = np.zeros_like(has)
            present[wanted] = has[wanted]
            result = infer(network, channels, present, device="cpu")
            yield name, result.location, result.scale
            continue
        with torch.inference_mode():
            images, (height, width) = pad_to_multiple(torch.from_numpy(channels)[None], runner.multiple)
            for i in wanted:
                if i not in latents:
                    latents[i] = runner.encoders[i](images[:, i : i + 1])
            mean = [sum(levels) / len(wanted) for levels in zip(*(latents[i] for i in wanted), strict=True)]
            present = torch.zeros(1, len(names))
            present[0, wanted] = 1
            found = estimate(runner.rcbv(runner.tell(mean, present))[..., :height, :width])
        yield name, found.location[0, 0].numpy(), found.log_scale[0, 0].exp().numpy()


def score_model(ready: Ready, contender: Path, combinations: Sequence[str] = (ALL,)) -> dict[str, Score]:
    """Measure a model on an exam, for several combinations of its inputs; the ratio for `ALL` alone.

    Parameters
    ----------
    ready : Ready
        The exam.
    contender : Path
        Weights (.safetensors) or a baseline (.npz).
    combinations : sequence of str
        As for `estimates`.
    """
    if contender.suffix == ".npz":
        from SynthCBVLib.training.baselines import load_baseline

        baseline = load_baseline(contender)
        case = ready.case(baseline.card)
        return {ALL: score_map(case, baseline.predict(case), None, ready)}
    from SynthCBVLib.synthesis.model import load_model

    model = load_model(contender)
    case = ready.case(model.card)
    return {
        name: score_map(case, location, scale, ready if name == ALL else None)
        for name, location, scale in estimates(model.network, model.card, case, combinations)
    }


def score_all(
    work: Sequence[tuple[Path, str, Subject, Path, tuple[str, ...]]],
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[dict[str, Score]]:
    """Measure models on exams; what was measured before is read.

    Parameters
    ----------
    work : sequence of tuple
        Model's file, its SHA-256, subject, folder of the preparation, combinations.
    folder : Path
        Keeps the scores, a file for each model and exam.
    workers : int
        Processes; 0 works in this one.
    progress : Progress, optional
        Told of each; may raise `Cancelled`.

    Returns
    -------
    list of dict
        Scores by combination, in the order of `work`.
    """
    places, jobs = [], []
    for contender, sha256, subject, prepared, combinations in work:
        ready = open_ready(subject, prepared)
        if ready is None:
            raise InputError(prepared, "no prepared exam", "one", "Delete the work folder and start again.")
        place = folder / f"{contender.stem}-{sha256[:12]}" / f"{subject.name}-{ready.digest[:12]}.json"
        places.append(place)
        if not set(combinations) <= _stored(place).keys():
            job = partial(_score_one, contender, subject, prepared, combinations, place)
            jobs.append((f"{subject.name}, {contender.stem}", job))
    run_jobs(jobs, workers, progress)
    return [
        {name: _score(values) for name, values in _stored(place).items() if values is not None}
        for place in places
    ]


def _score_one(
    contender: Path, subject: Subject, prepared: Path, combinations: tuple[str, ...], place: Path
) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ready = open_ready(subject, prepared)
        found = {name: vars(score) for name, score in score_model(ready, contender, combinations).items()}
    finally:
        torch.set_num_threads(threads)
    # A combination that the exam cannot serve is noted as well, so as not to be tried again.
    content = {"version": VERSION, "scores": {name: found.get(name) for name in combinations}}
    with written_whole(place) as (temporary,):
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _score(values: Mapping) -> Score:
    return Score(**{**values, "errors": tuple(values["errors"])})


def _stored(place: Path) -> Mapping[str, Mapping | None]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content["scores"] if content.get("version") == VERSION else {}
