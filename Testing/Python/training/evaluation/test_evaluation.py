"""A whole evaluation of tiny networks on tiny exams: page, tables, pictures, resume, and what is refused."""

import csv
import dataclasses
import io

import pytest
import torch

from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.synthesis import load_model
from SynthCBVLib.synthesis.model import read_card
from SynthCBVLib.training import baselines
from SynthCBVLib.training.cases import save_case
from SynthCBVLib.training.evaluation import preparing, scoring
from SynthCBVLib.training.evaluation.calibrated import write_calibrated
from SynthCBVLib.training.evaluation.page import write_page
from SynthCBVLib.training.evaluation.preparing import load_ready, prepare_subjects
from SynthCBVLib.training.evaluation.run import Plan, evaluate, find_contenders
from SynthCBVLib.training.evaluation.subjects import digital_block


@pytest.fixture(scope="module")
def plan(tmp_path_factory, make_subject, ivim_card, asl_card, store_model):
    folder = tmp_path_factory.mktemp("evaluation")
    few = dataclasses.replace(ivim_card.inputs[0], b_values=(0.0, 50.0, 1000.0))
    short = dataclasses.replace(
        ivim_card, name="tiny-3b", network_arguments={**ivim_card.network_arguments, "in_channels": 3},
        inputs=(few,), reference=(few.modality,),
    )  # fmt: skip
    plain = dataclasses.replace(asl_card, name="tiny-plain", network="encoder-decoder-3d")
    models = [store_model(folder / f"{card.name}.safetensors", card, seed) for seed, card in
              enumerate((ivim_card, asl_card, short, plain))]  # fmt: skip
    cohort = [make_subject(i, group, 3.0 + (-1) ** i * 0.2 * i + 2 * (group == "wildtype"))
              for i, group in enumerate(("wildtype",) * 3 + ("mutant",) * 3)]  # fmt: skip
    after = {"recurrence": (2.2, 4.0, 3.0), "response": (2.5, 1.8, 3.5)}
    cohort += [
        make_subject(10 + i, group, ratio, measured=False)
        for group, ratios in after.items()
        for i, ratio in enumerate(ratios)
    ]
    known = tuple(make_subject(20 + i, "wildtype", 3.0 + i) for i in range(3))
    teachers = [make_subject(30 + i, "wildtype", 3.0) for i in range(2)]
    prepare_subjects(teachers, [ivim_card, asl_card], folder / "teachers", 0, motion=False)
    for card in (ivim_card, asl_card):
        for teacher in teachers:
            case = load_ready(teacher, card, folder / "teachers", False).case()
            save_case(case, folder / "cases" / card.name / case.name, card)
    return Plan(tuple(models), tuple(cohort), folder / "work", known, folder / "cases", 0, False,
                command="python -m SynthCBVLib evaluate")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def short_perceptron():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_STEPS", 60)
        yield


@pytest.fixture(scope="module")
def evaluation(plan):
    return evaluate(plan)


def test_everybody_is_measured(evaluation, asl_card):
    ivim, asl = evaluation.workflows
    assert [one.label for one in ivim.contenders] == [
        "tiny-ivim",
        "tiny-3b",
        "tiny-ivim, ridge",
        "tiny-ivim, mlp",
    ]
    assert [one.baseline for one in asl.contenders] == ["", "", "ridge", "mlp"]
    assert len(ivim.patients) == len(asl.patients) == 6
    assert len(asl.treated) == len(asl.treated_scores) == 6
    assert not ivim.treated
    own = asl.scores["tiny-asl"][asl.patients[0].subject.name]
    assert len(own) == 18  # the paper's 17, and all six
    assert len(asl.scores["tiny-plain"][asl.patients[0].subject.name]) == 5
    assert asl.calibration.cases == 3
    assert ivim.calibration.ratios >= 0
    assert asl.values("ssim", "tiny-asl, ridge").min() > 0.8  # these maps are sums of their inputs


def test_the_page_says_what_it_must(evaluation, tmp_path):
    files = write_page(evaluation, tmp_path)
    text = (tmp_path / "evaluation.md").read_text(encoding="utf-8")
    for part in ("not for diagnosis", "python -m SynthCBVLib evaluate", "tiny-3b", "3b", "recurrence",
                 "CBF + T1w + T2w + ADC + T1c", "missed", *(one.sha256 for w in evaluation.workflows
                                                           for one in w.contenders)):  # fmt: skip
        assert part in text
    assert "digital" not in text.split("##")[0]  # these exams are not said to be digital patients
    pictures = [file for file in files if file.suffix == ".png"]
    assert all(f"images/{file.name}" in text and file.stat().st_size < 80_000 for file in pictures)
    assert {"evaluation-ivim-ssim.png", "evaluation-asl-recurrence.png"} <= {file.name for file in pictures}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "evaluation-cases.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 6 * (4 + 18 + 5 + 2) + 6
    assert all(row["ratio_real"] for row in rows if "rec" not in row["group"] and "resp" not in row["group"])
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_page(evaluation, tmp_path)] == before


def test_calibrated_weights_differ_in_their_card_alone(evaluation, tmp_path):
    paths = write_calibrated(evaluation, tmp_path)
    assert [path.name for path in paths] == ["tiny-ivim.safetensors", "tiny-asl.safetensors"]
    for path, workflow in zip(paths, evaluation.workflows, strict=True):
        made, before = load_model(path), load_model(workflow.main.path)
        assert made.card.calibration == workflow.calibration.as_card()
        assert dataclasses.replace(made.card, calibration={}) == dataclasses.replace(
            before.card, calibration={}
        )
        for key, value in before.network.state_dict().items():
            assert torch.equal(made.network.state_dict()[key], value)
    own = dataclasses.replace(evaluation.workflows[0].main, path=paths[0])
    held = dataclasses.replace(evaluation.workflows[0], contenders=(own,))
    with pytest.raises(InputError, match="itself"):
        write_calibrated(dataclasses.replace(evaluation, workflows=(held,)), tmp_path)
    none = dataclasses.replace(evaluation.workflows[0], calibration=None)
    with pytest.raises(InputError, match="calibrate on"):
        write_calibrated(dataclasses.replace(evaluation, workflows=(none,)), tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def test_a_second_run_computes_nothing(plan, evaluation, monkeypatch):
    for module, name in ((preparing, "prepare"), (scoring, "score_model")):
        monkeypatch.setattr(module, name, None)
    again = evaluate(plan)
    assert again.workflows[0].scores.keys() == evaluation.workflows[0].scores.keys()
    assert str(again.workflows[1].scores) == str(evaluation.workflows[1].scores)


def test_a_stopped_run_goes_on(plan, evaluation, tmp_path):
    fresh = dataclasses.replace(plan, work=tmp_path, models=plan.models[:1], baselines=None, calibration=())

    def stop(fraction: float, message: str) -> None:
        if "(2 of" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        evaluate(fresh, stop)
    assert len(list(tmp_path.rglob("about.json"))) == 2
    resumed = evaluate(fresh).workflows[0]
    expected = {name: own["all"] for name, own in evaluation.workflows[0].scores["tiny-ivim"].items()}
    cohort = {patient.subject.name for patient in resumed.patients}
    assert {name: str(own["all"]) for name, own in resumed.scores["tiny-ivim"].items()} == {
        name: str(score) for name, score in expected.items() if name in cohort
    }


def test_what_cannot_be_fair_is_refused(plan, tmp_path, ivim_card, asl_card, store_model):
    with pytest.raises(InputError, match="in the cohort too"):
        dataclasses.replace(plan, calibration=(dataclasses.replace(plan.subjects[0], name="other"),))
    with pytest.raises(InputError, match="no patient"):
        dataclasses.replace(plan, subjects=())
    with pytest.raises(InputError, match="same weights twice"):
        find_contenders([plan.models[0], plan.models[0]])
    with pytest.raises(InputError, match="no prepared cases"):
        evaluate(dataclasses.replace(plan, baselines=tmp_path))
    with pytest.raises(InputError, match="patients after treatment alone"):
        evaluate(dataclasses.replace(plan, subjects=plan.subjects[6:]))
    leaking = dataclasses.replace(
        plan,
        subjects=tuple(
            dataclasses.replace(s, patient="30") if s.name == plan.subjects[0].name else s
            for s in plan.subjects
        ),
    )
    with pytest.raises(InputError, match="training cases of 30"):
        evaluate(leaking)
    facts = {"data": "digital patients", "first_seed": 500, "patients": 20}
    seen = dataclasses.replace(asl_card, training=facts)
    path = store_model(tmp_path / "seen.safetensors", seen)
    assert read_card(path).training == facts
    with pytest.raises(InputError, match="00519-mutant: a seed that tiny-asl was trained on"):
        evaluate(
            dataclasses.replace(plan, models=(path,), subjects=tuple(digital_block(["519:521", "mutant"])))
        )
    apart = dataclasses.replace(asl_card, training={**facts, "seeds": "500 to 509 wildtype, 700, 800 to 819"})
    path = store_model(tmp_path / "apart.safetensors", apart)
    with pytest.raises(InputError, match=r"00700-mutant.*500 to 509, 700 to 700, 800 to 819"):
        evaluate(dataclasses.replace(plan, models=(path,), subjects=tuple(digital_block(["700", "mutant"]))))
