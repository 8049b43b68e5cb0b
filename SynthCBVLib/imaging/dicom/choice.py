"""Which series is taken for each modality, and what is said of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.series import Described, DicomSeries
from SynthCBVLib.imaging.study import Modality


@dataclass(frozen=True)
class Choice:
    """The series that is taken for a modality."""

    modality: Modality
    described: Described


def take(
    described: Sequence[Described],
    choose: Mapping[Modality, DicomSeries | str | None],
    m0: DicomSeries | str | None = None,
) -> tuple[list[Choice], Described | None, list[Note]]:
    """Take one series for each modality.

    Of several candidates the one is taken that can be read, is original, has the most b-values, is a map
    rather than raw data (CBF), and was acquired last; the others are named in a note.

    Parameters
    ----------
    described : sequence of Described
    choose : Mapping
        What the user chose; None leaves a modality out.
    m0 : DicomSeries or str, optional
        The M0 series that the user chose.

    Returns
    -------
    list of Choice
        In the order of `Modality`.
    Described or None
        The M0 series, if there is one of its own.
    list of Note
        One for each choice and for each series that is not taken.

    Raises
    ------
    InputError
        If a chosen series is not there.
    """
    by_key = {d.series.key: d for d in described}
    notes: list[Note] = []
    choices: list[Choice] = []
    for modality in Modality:
        chosen = choose.get(modality)
        if chosen is not None:
            choices.append(Choice(modality, _find(by_key, chosen, str(modality))))
            continue
        if modality in choose:
            continue
        candidates = sorted(
            (d for d in described if d.series.modality is modality and d.series.role not in ("m0", "other")
             and d.series.key not in {_key(s) for s in choose.values() if s is not None}),
            key=_rank, reverse=True,
        )  # fmt: skip
        if candidates:
            choices.append(Choice(modality, candidates[0]))
            notes += _others(modality, candidates)
    taken = {id(choice.described) for choice in choices}
    scale = _m0(described, by_key, m0, choices, notes)
    if scale is not None:
        taken.add(id(scale))
    for choice in choices:
        series = choice.described.series
        notes.append(Note("info", choice.modality, f"{choice.modality} is {series.name}: {series.reason}",
                          _how_to_choose(choice.modality)))  # fmt: skip
        notes += series.notes
        if series.b_values:
            notes.append(_b_values_note(series))
    for d in described:
        if id(d) not in taken:
            notes.append(_left_out(d))
    return choices, scale, notes


def _rank(described: Described) -> tuple:
    series = described.series
    return (
        described.error is None,
        not series.derived
        or (series.role == "image" and series.modality in (Modality.ADC, Modality.CBF, Modality.RCBV)),
        len({round(b) for b in series.b_values}),
        series.role == "image",
        series.number or 0,
        series.key,
    )


def _others(modality: Modality, candidates: Sequence[Described]) -> list[Note]:
    if len(candidates) == 1:
        return []
    others = ", ".join(f"{d.series.name} ({d.series.key})" for d in candidates[1:])
    return [Note(
        "warning", modality,
        f"{len(candidates)} series could be {modality}; {candidates[0].series.name} is taken, not {others}",
        _how_to_choose(modality),
    )]  # fmt: skip


def _how_to_choose(modality: Modality) -> str:
    return f"To take another: choose={{Modality.{modality.name}: '<series UID>'}}."


def _b_values_note(series: DicomSeries) -> Note:
    sources = ", ".join(dict.fromkeys(series.b_value_source))
    values = ", ".join(f"{b:g}" for b in dict.fromkeys(sorted(series.b_values)))
    return Note(
        "info", Modality.DWI,
        f"{series.name}: {series.n_volumes} images of b = {values} s/mm², from {sources}",
        "Give others if these are wrong (b_values=...).",
    )  # fmt: skip


def _left_out(described: Described) -> Note:
    series = described.series
    if series.modality is not None and series.problem:
        return Note("warning", series.modality, f"{series.name} cannot be used: {series.problem}",
                    "Another series is used, or none.")  # fmt: skip
    return Note("info", series.modality, f"{series.name} is not used: {series.reason}",
                "To use it: choose={Modality.<its modality>: '" + series.key + "'}.")  # fmt: skip


def _m0(
    described: Sequence[Described],
    by_key: Mapping[str, Described],
    given: DicomSeries | str | None,
    choices: Sequence[Choice],
    notes: list[Note],
) -> Described | None:
    asl = next((c.described for c in choices if c.described.series.role == "asl"), None)
    if asl is None or "m0scan" in asl.series.asl_context:
        return None
    if given is not None:
        return _find(by_key, given, "M0")
    candidates = sorted((d for d in described if d.series.role == "m0"), key=_rank, reverse=True)
    on_grid = [d for d in candidates if d.series.geometry and asl.series.geometry and _alike(d, asl)]
    if len(candidates) > 1:
        names = ", ".join(d.series.name for d in candidates)
        notes.append(Note("warning", Modality.CBF, f"{len(candidates)} series could be M0: {names}",
                          "Name the right one (m0=...)."))  # fmt: skip
    return (on_grid or candidates or [None])[0]


def _alike(a: Described, b: Described) -> bool:
    one, other = a.series.geometry, b.series.geometry
    return one.size == other.size and all(
        abs(x - y) < 1e-3
        for p, q in (
            (one.spacing, other.spacing),
            (one.origin, other.origin),
            (one.direction, other.direction),
        )
        for x, y in zip(p, q, strict=True)
    )


def _key(series: DicomSeries | str) -> str:
    return series.key if isinstance(series, DicomSeries) else str(series)


def _find(by_key: Mapping[str, Described], chosen: DicomSeries | str, what: str) -> Described:
    key = _key(chosen)
    if key not in by_key:
        raise InputError(f"the series chosen as {what}", f"{key!r}", "one of " + ", ".join(list(by_key)[:12]))
    return by_key[key]
