"""Regions proposed from an outline that was drawn in Slicer."""

from __future__ import annotations

import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

from SynthCBVLib import scene as mrml  # noqa: E402
from SynthCBVLib.scene.region_placing import propose_segments, put_regions  # noqa: E402

KINDS = [f"{kind} {i}" for kind in ("Tumour", "White matter") for i in (1, 2, 3)]


def test_regions_are_proposed_beside_the_outline(head):
    scene = mrml.new_scene()
    anatomy = mrml.image_to_volume(head.t2w, "T2w")
    map = mrml.image_to_volume(head.rcbv, "rCBV")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Regions")
    put_regions({"Tumour 1": head.tumour}, node)  # called as a region is
    findings = propose_segments(node, "Tumour 1", map, anatomy, "T2w")
    names = [
        node.GetSegmentation().GetNthSegment(i).GetName()
        for i in range(node.GetSegmentation().GetNumberOfSegments())
    ]
    assert sorted(names) == sorted(["Outline of Tumour 1", *KINDS])
    assert "now called Outline of Tumour 1" in " ".join(one.what for one in findings)
    masks = mrml.region_masks(node, head.t2w)
    tumour = sitk.GetArrayViewFromImage(head.tumour) != 0
    for i in (1, 2, 3):
        assert tumour[sitk.GetArrayViewFromImage(masks[f"Tumour {i}"]) != 0].all()
        assert head.white[sitk.GetArrayViewFromImage(masks[f"White matter {i}"]) != 0].mean() > 0.9
