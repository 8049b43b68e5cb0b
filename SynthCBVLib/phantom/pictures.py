"""Pictures of digital patients, laid out like the figures of the papers that they stand in for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, like
from SynthCBVLib.phantom.patient import DigitalPatient
from SynthCBVLib.phantom.protocol import Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours of perfusion maps on consoles (black where there is nothing), and the range of each map.
_COLOURS = "jet"
_RANGES = {"f": 0.15, "D": 3e-3, "D*": 30e-3, "ADC": 3e-3, "CBF": 120.0, "rCBV": 7.0, "CBV": 15.0, "ATT": 2.6}
_PERFUSION = ("f", "D*", "CBF", "rCBV", "CBV", "ATT")

Panel = tuple[str, np.ndarray, str]


def modalities_figure(seeds: dict[str, int], protocol: Protocol | str, path: Path) -> None:
    """Draw all modalities, fitted maps and truths of one patient a kind, in the slice with most tumour.

    Parameters
    ----------
    seeds : dict
        Kind of patient -> seed.
    protocol : Protocol or str
        Of the exam.
    path : Path
        The picture.
    """
    rows: list[tuple[str, list[Panel]]] = []
    for kind, seed in seeds.items():
        view = _View(DigitalPatient(seed, kind, protocol))
        d, f, d_star = view.fitted()
        measured = [
            view.panel("DWI b = 0", view.b_value(0)), view.panel("b = 1000", view.b_value(1000)),
            ("D fitted", d, "D"), ("f fitted", f, "f"), ("D* fitted", d_star, "D*"), view.image(Modality.ADC),
            view.image(Modality.T2W),
        ]  # fmt: skip
        others = [view.image(m) for m in (
            Modality.FLAIR, Modality.T1W, Modality.T1C, Modality.CBF, Modality.RCBV)]  # fmt: skip
        others += [view.true("large vessels", "vessels", ""), view.labels()]
        truths = [view.true(f"true {name}", key, name) for name, key in (
            ("D", "d"), ("f", "f"), ("D*", "d_star"), ("CBV", "cbv"), ("rCBV", "rcbv"), ("CBF", "cbf"),
            ("ATT", "arterial_transit_time"))]  # fmt: skip
        rows += [(f"{kind}: measured", measured), ("", others), ("truth", truths)]
    _save(_draw(rows), path)


def slices_figure(seeds: dict[str, int], protocol: Protocol | str, path: Path) -> None:
    """Draw real rCBV and fitted f of eight slices a patient."""
    rows: list[tuple[str, list[Panel]]] = []
    for kind, seed in seeds.items():
        view = _View(DigitalPatient(seed, kind, protocol))
        real, f = [], []
        middle = view.number
        for number in range(max(middle - 4, 3), max(middle - 4, 3) + 8):
            view.number = number
            real.append(("", view.image(Modality.RCBV)[1], "rCBV"))
            f.append(("", view.fitted()[1], "f"))
        label = "no lesion" if kind == "none" else kind
        rows += [(f"{label}: real rCBV", real), (f"{label}: fitted f", f)]
    _save(_draw(rows), path)


def diseases_figure(patients: list[tuple[str, int, str]], protocol: Protocol | str, path: Path) -> None:
    """Draw one row a patient: T2w, FLAIR, ADC, T1c, ASL CBF, real rCBV and true arrival time.

    Parameters
    ----------
    patients : list of tuple
        Kind, seed and label of each row.
    protocol : Protocol or str
        Of the exam.
    path : Path
        The picture.
    """
    rows = []
    for kind, seed, label in patients:
        view = _View(DigitalPatient(seed, kind, protocol))
        shown = (Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C, Modality.CBF, Modality.RCBV)
        panels = [view.image(m) for m in shown]
        rows.append((label, [*panels, view.true("true rCBV", "rcbv", "rCBV"),
                             view.true("true ATT", "arterial_transit_time", "ATT")]))  # fmt: skip
    _save(_draw(rows), path)


class _View:
    """One patient brought to the T2w image's grid, of which one slice is shown."""

    def __init__(self, patient: DigitalPatient) -> None:
        self._patient, self._study, self._truth = patient, patient.study(), patient.truth(Modality.T2W)
        self._grid = self._study.scalar(Modality.T2W)
        solid = sitk.GetArrayFromImage(self._truth.solid)
        amount = (solid > 0.5).sum((1, 2))
        self.number = int(amount.argmax()) if amount.any() else solid.shape[0] // 2
        brain = sitk.GetArrayFromImage(self._truth.brain) > 0
        self._brain = brain
        where = np.argwhere(brain.any(0))
        margin = int(16 / self._grid.GetSpacing()[0])
        (top, left), (bottom, right) = np.maximum(where.min(0) - margin, 0), where.max(0) + margin
        self._cut = (slice(top, bottom), slice(left, right))

    def _shown(self, image: sitk.Image, modality: Modality) -> np.ndarray:
        moved = resample(image, self._grid, self._patient.transform(modality, Modality.T2W))
        return sitk.GetArrayFromImage(moved)

    def _slice(self, volume: np.ndarray) -> np.ndarray:
        return volume[self.number][self._cut]

    def b_value(self, b_value: float) -> np.ndarray:
        """Give the mean image of a b-value."""
        series: DiffusionSeries = self._study.images[Modality.DWI]
        volumes = [v for v, b in zip(series.volumes(), series.b_values, strict=True) if b == b_value]
        return self._slice(self._shown(sum(volumes[1:], volumes[0]) / len(volumes), Modality.DWI))

    def panel(self, title: str, array: np.ndarray) -> Panel:
        """Give an anatomical image's panel."""
        return title, array, ""

    def image(self, modality: Modality) -> Panel:
        """Give a modality's panel; real rCBV over that of white matter."""
        volume = self._shown(self._study.scalar(modality), modality)
        if modality is Modality.RCBV:
            white = (sitk.GetArrayFromImage(self._truth.white) > 0.95) & (
                sitk.GetArrayFromImage(self._truth.lesion_fraction) < 0.01
            )
            return "real rCBV", self._slice(volume / volume[white].mean()), "rCBV"
        title, kind = {Modality.CBF: ("ASL CBF", "CBF"), Modality.ADC: ("ADC", "ADC")}.get(
            modality, (str(modality), "")
        )
        return title, self._slice(volume), kind

    def true(self, title: str, key: str, kind: str) -> Panel:
        """Give a true map's panel."""
        return title, self._slice(sitk.GetArrayFromImage(getattr(self._truth, key))), kind

    def labels(self) -> Panel:
        """Give the lesion's labels."""
        return "lesion", self._slice(sitk.GetArrayFromImage(self._truth.lesion)).astype(float), "labels"

    def fitted(self) -> tuple[np.ndarray, ...]:
        """Give D, f and D* that IVIM fits give in the brain of the slice."""
        from SynthCBVLib.physiology import ivim

        series: DiffusionSeries = self._study.images[Modality.DWI]
        brain = like(self._brain.astype(np.uint8), self._grid)
        there = resample(
            brain, series.volumes()[0], self._patient.transform(Modality.T2W, Modality.DWI), "nearest"
        )
        inside = sitk.GetArrayFromImage(there) > 0
        inside[: max(self.number - 1, 0)] = False
        inside[self.number + 2 :] = False
        signals = np.stack([sitk.GetArrayFromImage(v)[inside] for v in series.volumes()], -1)
        maps = ivim.fit(signals, series.b_values, method="segmented", workers=1)
        shown = []
        for name in ("d", "f", "d_star"):
            full = np.zeros(inside.shape, np.float32)
            full[inside] = getattr(maps, name)
            shown.append(self._slice(self._shown(like(full, series.volumes()[0]), Modality.DWI)))
        return tuple(shown)


def _draw(rows: list[tuple[str, list[Panel]]]) -> Figure:
    from matplotlib.figure import Figure

    columns = max(len(panels) for _, panels in rows)
    figure = Figure(figsize=(1.25 * columns + 0.25, 1.62 * len(rows)), facecolor="black")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, panels) in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
            axis.set_facecolor("black")
        for axis, (title, array, kind) in zip(line, panels, strict=False):
            if kind == "labels":
                axis.imshow(array, cmap="inferno", vmin=0, vmax=4, interpolation="nearest")
            else:
                top = _RANGES.get(kind) or float(np.percentile(array, 99.7)) or 1.0
                perfused = kind in _PERFUSION
                shown = np.ma.masked_less_equal(array, 1e-6 * top) if perfused else array
                axis.imshow(shown, cmap=_COLOURS if perfused else "gray", vmin=0, vmax=top)
            axis.set_title(title, color="white", fontsize=7, pad=2)
        line[0].text(-0.07, 0.5, label, color="white", fontsize=7, rotation=90, transform=line[0].transAxes,
                     ha="right", va="center")  # fmt: skip
    figure.subplots_adjust(0.03, 0.005, 0.998, 0.97, wspace=0.02, hspace=0.1)
    return figure


def _save(figure: Figure, path: Path, limit: int = 290_000) -> None:
    """Write the picture, with a palette and smaller until it has at most `limit` bytes."""
    import io

    from PIL import Image

    from SynthCBVLib.imaging.files import written_whole

    for dots in (150, 130, 110, 95, 80):
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=dots, facecolor="black", format="png")
        smaller = io.BytesIO()
        picture = Image.open(buffer).convert("RGB").quantize(160, dither=Image.Dither.NONE)
        picture.save(smaller, "png", optimize=True)
        if smaller.tell() <= limit:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as (temporary,):
        temporary.write_bytes(smaller.getvalue())
