"""Another reference image or another registration than the model's own."""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass, field

import numpy as np
import pytest
import SimpleITK as sitk

import SynthCBVLib.imaging.registration as registration
import SynthCBVLib.synthesis as synthesis
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import matrix_of
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.synthesis.card import InputSpec, ModelCard, OutputSpec
from SynthCBVLib.worker.alignment import Alignment, synthesize_aligned

CARD = ModelCard(
    "test", "1", "unet2d", {}, (InputSpec("T1w", "brain-mean"), InputSpec("T2w", "brain-mean", False)),
    (Modality.T1W,), (None, None, None), OutputSpec("rCBV", "brain-mean"),
)  # fmt: skip


@dataclass(frozen=True)
class Model:
    card: ModelCard = CARD


@dataclass(frozen=True)
class Result:
    transforms: dict
    provenance: dict = field(default_factory=dict)


def study(*modalities: Modality) -> Study:
    array = np.random.default_rng(1).random((4, 20, 20)).astype(np.float32)
    return Study("01", {modality: sitk.GetImageFromArray(array) for modality in modalities})


@pytest.fixture
def asked(monkeypatch):
    """Stand for the synthesis and give what it was asked."""
    seen = {}

    def synthesize(study, model, device, progress, transforms=None):
        reference = model.card.reference[0]
        seen.update(card=model.card, device=device, given=transforms)
        rigid = sitk.Euler3DTransform((0, 0, 0), 0.0, 0.0, np.pi / 2, (1.0, 2.0, 3.0))
        used = {m: (transforms or {}).get(m, rigid) for m in study.images if m is not reference}
        entries = {m.value: {"parameters": list(t.GetParameters())} for m, t in used.items()}
        return Result(used, {"registration": entries, "reference": reference.value})

    monkeypatch.setattr(synthesis, "synthesize", synthesize)
    return seen


def test_the_usual_way_only_tells_the_matrix(asked):
    result = synthesize_aligned(study(Modality.T1W, Modality.T2W), Model(), "cpu", Alignment())
    assert asked["given"] is None
    assert asked["card"] is CARD
    expected = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(result.provenance["registration"]["T2w"]["matrix"], expected, atol=1e-12)


def test_another_reference_is_the_cards_for_this_time(asked):
    both = study(Modality.T1W, Modality.T2W)
    synthesize_aligned(both, Model(), "cpu", Alignment(reference="T2w"))
    assert asked["card"].reference == (Modality.T2W,)
    assert CARD.reference == (Modality.T1W,)
    for missing in ("FLAIR", "CBF"):
        with pytest.raises(InputError, match="Reference image"):
            synthesize_aligned(both, Model(), "cpu", Alignment(reference=missing))


def test_positions_of_the_files_are_kept(asked):
    result = synthesize_aligned(study(Modality.T1W, Modality.T2W), Model(), "cpu", Alignment("keep"))
    np.testing.assert_array_equal(matrix_of(asked["given"][Modality.T2W]), np.eye(4))
    assert list(asked["given"]) == [Modality.T2W]
    assert "before" not in result.provenance["registration"]["T2w"]


def test_affine_registration_is_handed_over_with_its_figures(asked, monkeypatch):
    scaled = sitk.AffineTransform(3)
    scaled.Scale((1.1, 1.0, 1.0))

    def register(moving, fixed, model, **names):
        assert model == "affine"
        assert names == {"moving_name": "T2w", "fixed_name": "T1w"}
        return types.SimpleNamespace(transform=scaled, before=-0.2, after=-0.4, applied=True)

    monkeypatch.setattr(registration, "register", register)
    result = synthesize_aligned(study(Modality.T1W, Modality.T2W), Model(), "cpu", Alignment("affine"))
    entry = result.provenance["registration"]["T2w"]
    assert (entry["before"], entry["after"], entry["applied"]) == (-0.2, -0.4, True)
    np.testing.assert_allclose(entry["matrix"], np.diag([1.1, 1.0, 1.0, 1.0]))


def test_there_is_no_other_method():
    with pytest.raises(InputError, match="one of rigid, affine, keep"):
        Alignment("elastic")
    assert dataclasses.asdict(Alignment()) == {"method": "rigid", "reference": "", "distortion": False}
