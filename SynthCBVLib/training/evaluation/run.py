"""The evaluation: prepares, scores, calibrates; all that is done once is not done again."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import Progress, part
from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.training.cases import Case, load_case, serves
from SynthCBVLib.training.evaluation.calibration import Calibration, calibrate
from SynthCBVLib.training.evaluation.preparing import (
    Ready,
    covers,
    load_ready,
    needed_preparations,
    prepare_subjects,
)
from SynthCBVLib.training.evaluation.results import (
    Contender,
    Evaluation,
    Patient,
    Workflow,
    after_treatment,
    workflow_of,
)
from SynthCBVLib.training.evaluation.scoring import ALL, Score, combination, score_all
from SynthCBVLib.training.evaluation.sources import DigitalSource
from SynthCBVLib.training.evaluation.subjects import Subject, in_words, unique
from SynthCBVLib.training.evaluation.tables import COMPARED, TABLE_2


@dataclass(frozen=True)
class Plan:
    """What to evaluate.

    Parameters
    ----------
    models : tuple of str or Path
        As for `load_model`; the first of each workflow (IVIM, ASL) is the one evaluated.
    subjects : tuple of Subject
        The cohort; groups such as "recurrence" and "response" are the patients after treatment.
    work : Path
        Folder for prepared exams, baselines and scores; a later run goes on from there.
    calibration : tuple of Subject
        Validation patients, to calibrate the uncertainty with.
    baselines : Path or None
        Folder with prepared training cases (a folder a card), to train the baselines on.
    workers : int
        Processes; 0 works in this one.
    motion : bool
        As for `SynthCBVLib.synthesis.preprocess.prepare`.
    skip_bad : bool
        Go on without exams that cannot be used.
    command : str
        For the page.

    Raises
    ------
    InputError
        If there is no model or no subject, one comes twice, or a model was trained on a patient.
    """

    models: tuple[str | os.PathLike[str], ...]
    subjects: tuple[Subject, ...]
    work: Path
    calibration: tuple[Subject, ...] = ()
    baselines: Path | None = None
    workers: int = 1
    motion: bool = True
    skip_bad: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if not self.models:
            raise InputError("evaluation", "no model", "at least one")
        if not self.subjects:
            raise InputError("evaluation", "no patient", "a cohort")
        unique([*self.subjects, *self.calibration])
        shared = {s.patient for s in self.subjects} & {s.patient for s in self.calibration}
        if shared:
            raise InputError(
                "calibration", f"{', '.join(sorted(shared)[:5])}, who are in the cohort too", "other patients"
            )


def evaluate(plan: Plan, progress: Progress | None = None) -> Evaluation:
    """Evaluate models on a cohort.

    Raises
    ------
    InputError
        If a model or an exam cannot be used, or a training saw a patient of the cohort.
    """
    contenders = find_contenders(plan.models)
    _refuse_seen(contenders, plan.subjects)
    by_workflow: dict[str, list[Contender]] = {}
    for contender in contenders:
        by_workflow.setdefault(workflow_of(contender.card), []).append(contender)
    _refuse_seen([members[0] for members in by_workflow.values()], plan.calibration)
    treated = [s for s in plan.subjects if after_treatment(s.group)]
    cohort = [s for s in plan.subjects if not after_treatment(s.group)]
    if not cohort:
        raise InputError("cohort", "patients after treatment alone", "others too, to compare maps on")
    cards = needed_preparations([contender.card for contender in contenders])
    mains = [_serving(cards, members[0].card) for members in by_workflow.values()]
    mains = [card for i, card in enumerate(mains) if card not in mains[:i]]
    refused = prepare_subjects(
        cohort, cards, plan.work / "patients", plan.workers, part(progress, 0.0, 0.5), motion=plan.motion,
        skip_bad=plan.skip_bad,
    )  # fmt: skip
    refused |= prepare_subjects(
        plan.calibration, mains, plan.work / "patients", plan.workers, part(progress, 0.5, 0.55),
        motion=plan.motion, skip_bad=plan.skip_bad,
    )  # fmt: skip
    if "ASL" in by_workflow:
        refused |= prepare_subjects(
            treated, [_serving(cards, by_workflow["ASL"][0].card)], plan.work / "patients", plan.workers,
            part(progress, 0.55, 0.7), motion=plan.motion, skip_bad=plan.skip_bad,
        )  # fmt: skip
    workflows = []
    for number, (name, members) in enumerate(by_workflow.items()):
        step = part(
            progress, 0.7 + 0.3 * number / len(by_workflow), 0.7 + 0.3 * (number + 1) / len(by_workflow)
        )
        members = [*members, *_baselines(plan, members[0], part(step, 0.0, 0.2))]
        patients = treated if name == "ASL" else []
        workflows.append(_measured(plan, name, members, cards, cohort, patients, part(step, 0.2, 1.0)))
    digital = all(isinstance(s.source, DigitalSource) for s in plan.subjects)
    return Evaluation(
        tuple(workflows),
        refused,
        plan.command,
        in_words(plan.subjects),
        in_words(plan.calibration),
        digital,
    )


def find_contenders(models: Sequence[str | os.PathLike[str]]) -> list[Contender]:
    """Read the models' cards; two of one name are told apart by their weights.

    Raises
    ------
    InputError
        If a model cannot be used, or comes twice.
    """
    from SynthCBVLib.synthesis.model import load_model

    loaded = [load_model(name) for name in models]
    names = [model.card.name for model in loaded]
    found: list[Contender] = []
    for model in loaded:
        alone = names.count(model.card.name) == 1
        label = model.card.name if alone else f"{model.card.name} {model.sha256[:6]}"
        if any(one.sha256 == model.sha256 for one in found):
            raise InputError(f"model {model.path}", "the same weights twice", "each model once")
        found.append(Contender(label, model.card, model.path, model.sha256))
    return found


def _refuse_seen(contenders: Sequence[Contender], subjects: Sequence[Subject]) -> None:
    """Refuse digital patients whose seeds lie among those of a model's training."""
    for contender in contenders:
        facts = contender.card.training
        if facts.get("data") != "digital patients" or not isinstance(facts.get("first_seed"), int):
            continue
        seen = _seeds(facts)
        for subject in subjects:
            if isinstance(subject.source, DigitalSource) and any(subject.source.seed in run for run in seen):
                told = ", ".join(f"{run.start} to {run.stop - 1}" for run in seen)
                raise InputError(
                    f"digital patient {subject.name}", f"a seed that {contender.label} was trained on",
                    "patients that no training saw", f"Take seeds outside {told}.",
                )  # fmt: skip


def _seeds(facts: Mapping[str, Any]) -> list[range]:
    """Read which seeds a card says that its training saw: "7 to 30, 40", or a first one and how many."""
    runs = re.findall(r"(\d+)(?: to (\d+))?", str(facts.get("seeds", "")))
    if runs:
        return [range(int(first), int(last or first) + 1) for first, last in runs]
    return [range(facts["first_seed"], facts["first_seed"] + int(facts.get("patients", 0)))]


def _serving(cards: Sequence[ModelCard], card: ModelCard) -> ModelCard:
    return next(rich for rich in cards if covers(rich, card))


def _baselines(plan: Plan, main: Contender, progress: Progress) -> list[Contender]:
    """Train the baselines of a workflow on the training cases that serve its model."""
    if plan.baselines is None:
        return []
    from SynthCBVLib.training.baselines import BASELINES, fit_baseline, identity, save_baseline

    cases = training_cases(plan.baselines, main.card)
    leaked = {case.patient for case in cases} & {subject.patient for subject in plan.subjects}
    if leaked:
        raise InputError(
            plan.baselines, f"training cases of {', '.join(sorted(leaked)[:5])}, who are in the cohort",
            "other patients",
        )  # fmt: skip
    kept = {subject.patient for subject in plan.calibration}
    cases = [case for case in cases if case.patient not in kept]
    found = []
    for number, kind in enumerate(BASELINES):
        sha256 = identity(kind, cases, main.card)
        path = plan.work / "baselines" / f"{main.card.name}-{kind}-{sha256[:12]}.npz"
        if not path.is_file():
            step = part(progress, number / len(BASELINES), (number + 1) / len(BASELINES))
            save_baseline(fit_baseline(kind, cases, main.card, step), path)
        found.append(Contender(f"{main.label}, {kind}", main.card, path, sha256, kind))
    return found


def training_cases(folder: Path, card: ModelCard) -> list[Case]:
    """Open the training cases below a folder that serve a card.

    Parameters
    ----------
    folder : Path
        Holds a folder of cases for each card, as `prepare_digital` and `prepare_cohort` make them.
    card : ModelCard
        Whose inputs count.

    Raises
    ------
    InputError
        If no folder serves the card.
    """
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        cases = sorted(path.parent for path in place.glob("*/case.json"))
        if cases and serves(cases[0], card):
            return [load_case(path, card) for path in cases]
    raise InputError(
        folder, f"no prepared cases that serve {card.name}", "a folder with the cases of a training",
        "Give the folder cases of a run of the verb train.",
    )  # fmt: skip


def _measured(
    plan: Plan,
    name: str,
    members: Sequence[Contender],
    cards: Sequence[ModelCard],
    cohort: Sequence[Subject],
    treated: Sequence[Subject],
    progress: Progress,
) -> Workflow:
    """Score a workflow's models on everybody."""
    main = members[0]
    work: list[tuple[Contender, Ready, tuple[str, ...]]] = []
    readies: dict[str, Ready] = {}
    places = plan.work / "patients"
    for member in members:
        for subject in (*cohort, *(treated if member is main else ())):
            ready = load_ready(subject, _serving(cards, member.card), places, plan.motion)
            if ready is None:
                continue
            if member is main:
                readies[subject.name] = ready
            wanted = (ALL,) if after_treatment(subject.group) else combinations_of(member, main)
            work.append((member, ready, wanted))
    for subject in plan.calibration:
        ready = load_ready(subject, _serving(cards, main.card), places, plan.motion)
        if ready is not None:
            readies[subject.name] = ready
            work.append((main, ready, (ALL,)))
    jobs = [(m.path, m.sha256, ready.subject, ready.folder, wanted) for m, ready, wanted in work]
    scored = score_all(jobs, plan.work / "scores", plan.workers, progress)
    scores: dict[str, dict[str, Mapping[str, Score]]] = {member.label: {} for member in members}
    for (member, ready, _), found in zip(work, scored, strict=True):
        scores[member.label][ready.subject.name] = found
    own = scores[main.label]

    def patients(subjects: Sequence[Subject]) -> tuple[Patient, ...]:
        there = [readies[s.name] for s in subjects if s.name in readies]
        return tuple(Patient(one.subject, one.ratios, one.notes, one.seconds) for one in there)

    return Workflow(
        name, tuple(members), patients(cohort), scores, patients(treated),
        {s.name: own[s.name][ALL] for s in treated if ALL in own.get(s.name, {})},
        _calibration(patients(plan.calibration), own, main.card),
    )  # fmt: skip


def combinations_of(contender: Contender, main: Contender) -> tuple[str, ...]:
    """Give the combinations of inputs that a model is measured with."""
    card = contender.card
    if contender.baseline or any(spec.required for spec in card.inputs):
        return (ALL,)
    there = {spec.modality for spec in card.inputs}
    table = TABLE_2 if contender is main else COMPARED
    return (ALL, *(combination(card, chosen) for chosen in table if there.issuperset(chosen)))


def _calibration(
    patients: Sequence[Patient], scores: Mapping[str, Mapping[str, Score]], card: ModelCard
) -> Calibration | None:
    """Calibrate on validation patients; without any, take what the card holds."""
    known = [(p, scores[p.subject.name][ALL]) for p in patients if ALL in scores.get(p.subject.name, {})]
    if not any(sum(score.errors) for _, score in known):
        return Calibration.from_card(card.calibration) if card.calibration else None
    return calibrate([score for _, score in known], [patient.ratio("real") for patient, _ in known])
