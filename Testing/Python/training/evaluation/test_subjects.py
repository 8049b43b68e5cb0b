"""Who is evaluated on: blocks of digital patients, BIDS datasets, manifests."""

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import write_image, write_regions
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.training.evaluation.subjects import cohort_subjects, digital_block, in_words, unique


def test_a_block_names_its_patients():
    found = digital_block(["7:9", "mutant", "known"])
    assert [subject.name for subject in found] == ["00007-mutant", "00008-mutant"]
    assert {subject.group for subject in found} == {"mutant"}
    assert found[0].source.known
    assert found[0].source.measured
    assert not digital_block(["7", "response", "unmeasured"])[0].source.measured
    assert found[0].source.key() != digital_block(["7", "mutant"])[0].source.key()


def test_blocks_are_told_by_their_ranges():
    blocks = (["7:9", "mutant", "known"], ["12", "mutant", "known"], ["20:30", "mutant", "known"])
    found = [one for words in (*blocks, ["1:3", "response", "unmeasured"]) for one in digital_block(words)]
    assert in_words(found) == (
        "13 mutant (seeds 7 to 8, 12 and 20 to 29, true transforms and brain masks); "
        "2 response (seeds 1 to 2, registered, without real rCBV)"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["7:9"], "no block"),
        (["9:7", "mutant"], "0 patients"),
        (["7:7", "mutant"], "0 patients"),
        (["-7:9", "mutant"], "no block"),
        (["7:9", "glioma"], "'glioma'"),
        (["7:9", "mutant", "kown"], "'kown'"),
        (["1:99999999", "mutant"], "10,000"),
    ],
)
def test_what_is_no_block_is_refused(words, told):
    with pytest.raises(InputError, match=told):
        digital_block(words)


def test_a_patient_comes_once():
    with pytest.raises(InputError, match="00007-mutant twice"):
        unique([*digital_block(["7:9", "mutant"]), *digital_block(["5:8", "mutant"])])


def ramp() -> sitk.Image:
    return sitk.GetImageFromArray(np.arange(2 * 6 * 6, dtype=np.float32).reshape(2, 6, 6))


def test_a_dataset_gives_groups_and_regions(tmp_path):
    for label in ("sub-1", "sub-2"):
        write_image(ramp(), tmp_path / label / "anat" / f"{label}_T2w.nii.gz")
    mask = np.zeros((2, 6, 6), np.uint8)
    mask[1, 2, 2] = 1
    regions = {
        "Tumour 1": sitk.GetImageFromArray(mask),
        "White matter 1": sitk.GetImageFromArray(mask[:, ::-1]),
    }
    truth = tmp_path / "derivatives" / "readers" / "sub-2" / "sub-2_space-T2w_desc-regions_dseg.nii.gz"
    write_regions(regions, truth)
    (tmp_path / "participants.tsv").write_text("participant_id\tidh\nsub-1\tn/a\nsub-2\tmutant\n")
    first, second = cohort_subjects(tmp_path)
    assert (first.group, second.group) == (None, "mutant")
    assert first.source.regions is None
    exam = second.source.open([])
    found = exam.regions(Modality.T2W)
    assert found.drawn_on is Modality.T2W
    assert set(found.masks) == set(regions)
    assert exam.transforms(Modality.T2W) is None
    before = second.source.key()
    write_image(ramp(), tmp_path / "sub-2" / "anat" / "sub-2_FLAIR.nii.gz")
    assert second.source.key() != before
    write_regions(regions, tmp_path / "sub-2" / "sub-2_space-T1w_desc-regions_dseg.nii.gz")
    with pytest.raises(InputError, match="several label images"):
        cohort_subjects(tmp_path)


def test_a_manifest_gives_groups(tmp_path):
    write_image(ramp(), tmp_path / "t2.nii.gz")
    table = tmp_path / "cohort.csv"
    table.write_text("subject,t2w,idh\n1,t2.nii.gz,wildtype\n2,t2.nii.gz,mutant\n")
    found = cohort_subjects(table)
    assert [subject.group for subject in found] == ["wildtype", "mutant"]
    assert found[1].source.open([]).study().subject == "2"
    with pytest.raises(InputError, match="no such file"):
        cohort_subjects(tmp_path / "nothing.csv")
