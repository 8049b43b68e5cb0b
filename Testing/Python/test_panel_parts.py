"""Parts of the panel that need neither Qt nor Slicer."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.cards import shown_card
from SynthCBVLib.panel.estimate import TimeLeft
from SynthCBVLib.scene import steps
from SynthCBVLib.scene.layout import FOUR_VIEWS, THREE_VIEWS, VIEWS, describe


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_follows_an_even_pace():
    clock = Clock()
    left = TimeLeft(clock)
    assert left.after(0.01) is None
    for second in range(5, 101, 5):
        clock.now = 100.0 + second
        assert left.after(second / 100) == pytest.approx(100 - second)
    assert left.elapsed == pytest.approx(100)


def test_time_left_does_not_jump_when_a_stage_is_slow():
    clock = Clock()
    left = TimeLeft(clock)
    clock.now = 110.0
    assert left.after(0.5) == pytest.approx(10)
    clock.now = 119.0  # at this pace it would be 18 s by now; 1 s had been told
    assert left.after(0.5) == pytest.approx(0.5 * (19 + 1))


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.001, 50))
def test_time_left_is_never_negative(fractions, pace):
    clock = Clock()
    left = TimeLeft(clock)
    for fraction in sorted(fractions):
        clock.now += pace
        told = left.after(fraction)
        assert told is None or told >= 0


@pytest.mark.parametrize("name", ["ivim", "asl"])
def test_the_panel_tells_of_a_card_what_the_library_reads(name):
    pytest.importorskip("safetensors")
    from SynthCBVLib.synthesis.model import read_card

    shown, card = shown_card(name), read_card(name)
    assert (shown.name, shown.version, shown.licence) == (card.name, card.version, card.licence)
    assert (shown.training_data, shown.intended_use) == (card.training_data, card.intended_use)
    assert [text.split()[0] for text in shown.required] == [i.modality for i in card.inputs if i.required]
    assert [text.split()[0] for text in shown.optional] == [i.modality for i in card.inputs if not i.required]
    assert shown.metrics == card.metrics


def header(content: object) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [b"", b"1234567", struct.pack("<Q", 2**60), struct.pack("<Q", 3) + b"{{{", header({}), header([]),
     header({"__metadata__": {"card": "no JSON"}}), header({"__metadata__": {"card": "{}"}}),
     header({"__metadata__": {"card": "[1]"}})],
)  # fmt: skip
def test_files_that_are_no_weights_are_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no model card in it"):
        shown_card(str(path))
    with pytest.raises(InputError, match="no file that can be read"):
        shown_card(str(tmp_path / "gone.safetensors"))


def test_a_card_that_changes_on_disk_is_read_again(tmp_path):
    path = tmp_path / "x.safetensors"
    card = {"name": "one", "version": "1", "inputs": [{"modality": "T1w"}], "reference": ["T1w"]}
    path.write_bytes(header({"__metadata__": {"card": json.dumps(card)}}))
    assert shown_card(str(path)).name == "one"
    path.write_bytes(header({"__metadata__": {"card": json.dumps({**card, "name": "another"})}}))
    assert shown_card(str(path)).name == "another"


@pytest.mark.parametrize(("layout", "count"), [(THREE_VIEWS, 3), (FOUR_VIEWS, 4)])
def test_layouts_are_xml_with_each_view_once(layout, count):
    views = [view.get("singletontag") for view in ElementTree.fromstring(describe(layout)).iter("view")]
    assert len(views) == len(set(views)) == count
    assert set(views) <= VIEWS.keys()


def test_steps_are_taken_a_turn_at_a_time(monkeypatch):
    done = []

    def work():
        try:
            for i in range(3):
                done.append(i)
                yield
        finally:
            done.append("cleaned")
        return "result"

    assert steps.finished(work()) == "result"
    monkeypatch.setattr(steps, "TURN", -1.0)
    done.clear()
    stepper = steps.Stepper(work())
    assert [stepper.turn() for _ in range(4)] == [False, False, False, True]
    assert stepper.result == "result"
    done.clear()
    stepper = steps.Stepper(work())
    stepper.turn()
    stepper.stop()
    assert done == [0, "cleaned"]
    assert stepper.turn()
