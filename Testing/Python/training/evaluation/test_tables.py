"""Tables and bars from scores that are made up, so that every figure is known."""

import dataclasses
import math

import numpy as np
import pytest

from SynthCBVLib.training.evaluation.bars import bars, bias_percent
from SynthCBVLib.training.evaluation.calibration import Calibration
from SynthCBVLib.training.evaluation.results import (
    Contender,
    Evaluation,
    Patient,
    Workflow,
    after_treatment,
)
from SynthCBVLib.training.evaluation.scoring import ALL, ERROR_EDGES, Score
from SynthCBVLib.training.evaluation.sections import likeness_lines
from SynthCBVLib.training.evaluation.tables import likeness, nested, peer_of, recurrence
from SynthCBVLib.training.presets import preset

RNG = np.random.default_rng(5)
REAL = np.concatenate([RNG.normal(6, 1.2, 20), RNG.normal(3.5, 1.2, 20)]).clip(1)
F = RNG.normal(1.5, 0.3, 40)
GROUPS = ["wildtype"] * 20 + ["mutant"] * 20


def errors(scale: float) -> tuple[int, ...]:
    drawn = np.abs(np.random.default_rng(1).laplace(0, scale, 20_000))
    return tuple(np.bincount(np.searchsorted(ERROR_EDGES, drawn), minlength=ERROR_EDGES.size + 1).tolist())


def workflow(
    make_subject, offsets: dict[str, float], tmp_path, slope: float = 1.0, scale: float = 1.0
) -> Workflow:
    """Give a cohort of 20 + 20; SSIM is .91 + offset with the same spread for each model."""
    spread = np.random.default_rng(2).normal(0, 0.01, 40)
    subjects = [make_subject(i, group, 2.0) for i, group in enumerate(GROUPS)]
    patients = tuple(Patient(subject, {"real": REAL[i], "f": F[i]}) for i, subject in enumerate(subjects))
    contenders, scores = [], {}
    for number, (name, offset) in enumerate(offsets.items()):
        kind = name if name in ("ridge", "mlp") else ""
        card = preset("ivim" if kind else name).card
        contenders.append(Contender(name, card, tmp_path, str(number), kind))
        extra = np.random.default_rng(number + 9).normal(0, 0.002, 40)
        scores[name] = {}
        for i, subject in enumerate(subjects):
            ratio = slope * REAL[i] * (1.08 if i % 10 == 0 else 1) + 0.02 * (-1) ** i
            ssim = 0.91 + offset + spread[i] + extra[i] * bool(offset)
            scores[name][subject.name] = {ALL: Score(ssim, 30.0, ratio, 0.1, errors(scale))}
    return Workflow("IVIM", tuple(contenders), patients, scores, calibration=Calibration(1.0, {0.9: 0.5}))


def found(made: Workflow) -> dict[str, object]:
    return {bar.name: bar for bar in bars(Evaluation((made,), {}, "", "", "", True))}


GOOD = {"ivim": 0.0, "ivim-5b-t2w": -0.02, "ivim-10b": -0.02, "ivim-5b": -0.03, "ivim-f-t2w": -0.05,
        "wang2023": -0.01, "ridge": -0.10, "mlp": -0.075}  # fmt: skip


def test_a_model_as_aimed_at_meets_every_bar(make_subject, tmp_path):
    made = found(workflow(make_subject, GOOD, tmp_path))
    missed = [bar for bar in made.values() if not bar.met]
    assert missed == []
    assert len(made) == 1 + 5 + 2 + 1 + 2 * 3 + 2 + 2 + 1
    assert sum("voxels" in name for name in made) == 2
    assert made["T/WM ratios in their conformal 90 % interval (n = 40)"].found == "90.0%"


@pytest.mark.parametrize(
    ("changes", "options", "missed"),
    [
        ({"ivim": -0.03}, {}, ["mean SSIM", "5b+T2w", "10b", "recipe", "mlp", "SSIM above 5b"]),
        ({"ivim-5b": -0.09}, {}, ["worst combination"]),
        ({"ridge": -0.03}, {}, ["above ridge"]),
        ({"wang2023": 0.01}, {}, ["recipe"]),
        ({}, {"slope": 0.8}, ["slope", "bias", "T/WM ratios in"]),
        ({}, {"scale": 2.0}, ["voxels"]),
    ],
)
def test_each_fault_misses_its_bar(make_subject, tmp_path, changes, options, missed):
    made = found(workflow(make_subject, {**GOOD, **changes}, tmp_path, **options))
    bad = [name for name, bar in made.items() if not bar.met]
    assert bad
    assert all(any(part in name for part in missed) for name in bad)
    assert all(any(part in name for name in bad) for part in missed)


def test_likeness_is_mean_sd_and_a_paired_test(make_subject, tmp_path):
    made = workflow(make_subject, GOOD, tmp_path)
    row = likeness(made, made.contenders[2])
    values = made.values("ssim", "ivim-10b")
    assert (row.n, row.ssim, row.ssim_sd) == (40, values.mean(), values.std(ddof=1))
    assert row.by_group["mutant"] == (values[20:].mean(), values[20:].std(ddof=1))
    difference = made.values("ssim", "ivim") - values
    assert row.against.difference == pytest.approx(difference.mean())
    assert row.against.t == pytest.approx(difference.mean() / difference.std(ddof=1) * math.sqrt(40))
    assert likeness(made, made.main).against is None


def test_bias_is_in_per_cent_of_the_real_mean():
    assert bias_percent(np.array([2.0, 4.0]), np.array([2.2, 4.4])) == pytest.approx(10)


def test_a_combination_that_loses_by_more_inputs_is_found(make_subject, tmp_path):
    card = preset("asl").card
    main = Contender("asl", card, tmp_path, "1")
    subjects = [make_subject(i, None, 2.0) for i in range(3)]
    values = {"CBF": 0.80, "CBF+T1w": 0.86, "CBF+T1w+ADC": 0.85, "CBF+T2w": 0.90, ALL: 0.91}
    scores = {"asl": {s.name: {name: Score(v + 0.001 * i, 33.0) for name, v in values.items()}
                      for i, s in enumerate(subjects)}}  # fmt: skip
    made = Workflow("ASL", (main,), tuple(Patient(s, {}) for s in subjects), scores)
    rows = [likeness(made, main, name) for name in values]
    pairs = nested(rows, main.inputs)
    assert len(pairs) == 3 + 1 + 4  # CBF in three, CBF+T1w in one, each of four in all
    assert (pairs[0].smaller, pairs[0].larger) == ("CBF+T1w", "CBF+T1w+ADC")
    assert pairs[0].gain == pytest.approx(-0.01)
    told = found(made)
    assert not told["smallest change of SSIM by adding modalities"].met
    best = next(bar for name, bar in told.items() if name.startswith("SSIM of the best"))
    assert best.met
    assert "CBF+T1w+T2w+FLAIR+ADC+T1c" in best.name


def test_recurrence_is_told_by_the_better_map(make_subject, tmp_path):
    rng = np.random.default_rng(6)
    labels = np.repeat([1, 0], 48)
    synthetic, flow = labels + rng.normal(0, 0.4, 96), labels + rng.normal(0, 2, 96)
    subjects = [make_subject(i, "recurrence" if one else "response", 2.0) for i, one in enumerate(labels)]
    assert all(after_treatment(s.group) for s in subjects)
    patients = tuple(Patient(s, {"cbf": float(flow[i])}) for i, s in enumerate(subjects))
    scores = {s.name: Score(math.nan, math.nan, float(synthetic[i])) for i, s in enumerate(subjects)}
    main = Contender("asl", preset("asl").card, tmp_path, "1")
    made = Workflow("ASL", (main,), (), {"asl": {}}, patients, scores)
    result = recurrence(made)
    assert (result.n_recurrence, result.n_response) == (48, 48)
    wins = (synthetic[:48, None] > synthetic[None, 48:]).mean()
    assert result.areas["synthetic"].auc == pytest.approx(wins)
    assert set(result.areas) == {"synthetic", "cbf"}
    assert found(made)["AUC for recurrence of synthetic rCBV above ASL's (96 cases)"].met
    assert recurrence(Workflow("ASL", (main,), (), {}, patients[:48], scores)) is None


def test_variants_are_also_held_against_a_model_that_was_trained_alike(make_subject, tmp_path):
    made = workflow(make_subject, {"ivim": 0.0, "ivim-5b-t2w": -0.02}, tmp_path)
    assert "another training" not in "\n".join(likeness_lines(made))
    twin = dataclasses.replace(made.contenders[0], label="ivim short", sha256="short")
    made.scores["ivim short"] = {
        name: {ALL: dataclasses.replace(by[ALL], ssim=by[ALL].ssim - 0.01 + 0.001 * (-1) ** i)}
        for i, (name, by) in enumerate(made.scores["ivim"].items())
    }
    lines = likeness_lines(dataclasses.replace(made, contenders=(*made.contenders, twin)))
    assert "ivim short minus this" in lines[0]
    assert any(line.startswith("| ivim |") and "−0.010 (" in line for line in lines)
    assert any("ivim short has the inputs of ivim and another training" in line for line in lines)


def test_variants_are_held_against_a_model_trained_as_long(make_subject, tmp_path):
    made = workflow(make_subject, {**GOOD, "wang2023-small": -0.01}, tmp_path)

    def trained(contender: Contender, *steps: int, name: str = "") -> Contender:
        *earlier, last = ({"config": {"steps": each}} for each in steps)
        card = dataclasses.replace(contender.card, training={**last, "earlier": earlier})
        return dataclasses.replace(contender, card=card, label=name or contender.label)

    by_name = {each.label: each for each in made.contenders}
    main = trained(by_name["ivim"], 300, 100)
    short = trained(by_name["ivim"], 300, name="short")
    others = [trained(by_name[name], 300) for name in ("ivim-5b", "wang2023-small")]
    long = trained(by_name["ivim-10b"], 400)
    scores = {**made.scores, "short": {
        name: {ALL: dataclasses.replace(score[ALL], ssim=score[ALL].ssim - 0.02)}
        for name, score in made.scores["ivim"].items()
    }}  # fmt: skip
    made = dataclasses.replace(made, contenders=(main, long, *others, short), scores=scores)
    assert [peer_of(made, each).label for each in (long, *others)] == ["ivim", "short", "short"]
    bar = next(bar for name, bar in found(made).items() if "above 5b (" in name)
    assert "both 300 steps" in bar.name
    assert bar.found.startswith("+0.010")
    recipe = next(bar for name, bar in found(made).items() if "recipe" in name)
    assert not recipe.met
