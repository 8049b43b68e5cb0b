"""Stamping regions of 0.25 cm² by clicks in the slice views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from SynthCBVLib.panel.editor import RegionEditor
from SynthCBVLib.panel.placing import PointPicker
from SynthCBVLib.scene.region_placing import REGIONS, name_regions, next_region, segment_ids, stamp_into


class Stamper:
    """Stamps one region after the other as long as its button is down.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    editor : RegionEditor
        Tells which region is chosen.
    parameters : callable
        Gives the parameter node, or None while the module is closed.
    segmentation : callable
        Gives the segmentation to stamp into, made if there is none; may raise InputError.
    say : callable
        Shows a line of text.
    guarded : callable
        Calls a function and shows what goes wrong; then it calls `stop`.
    """

    def __init__(
        self,
        ui: Any,
        editor: RegionEditor,
        parameters: Callable[[], Any],
        segmentation: Callable[[], slicer.vtkMRMLSegmentationNode],
        say: Callable[[str], None],
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        self.ui, self._editor, self._parameters = ui, editor, parameters
        self._segmentation, self._say, self._guarded = segmentation, say, guarded
        self.picker = PointPicker(self.on_point, self.stop)  # the user's right click
        self.ui.stampButton.toggled.connect(self.on_stamp_toggled)

    def stop(self) -> None:
        """Let the button up: the mouse does what it did before."""
        self.ui.stampButton.setChecked(False)

    def on_stamp_toggled(self, checked: bool) -> None:
        """Begin or end stamping."""
        if not checked:
            self.picker.stop()
            return
        if self._parameters() is None:
            return
        self._guarded(self._start)

    def on_point(self, position: Sequence[float]) -> None:
        """Stamp a region where the user clicked."""
        self._guarded(lambda: self._stamp(position))

    def _start(self) -> None:
        node = self._segmentation()
        name_regions(node, REGIONS)
        if self._target(node) is None:
            self.stop()
            self._say(_("All six regions are drawn. To move one, choose it below and stamp it again."))
            return
        self._editor.rest()
        self.picker.start()
        self._ask_for_point(node)

    def _stamp(self, position: Sequence[float]) -> None:
        parameters, node = self._parameters(), self._segmentation()
        target = self._target(node)
        if target is not None:
            stamp_into(node, parameters.syntheticMap, position, target)
        following = next_region(node)
        if following is None:
            self.stop()
            self._say(_("All six regions are drawn."))
            return
        self._editor.choose(segment_ids(node)[following])
        self._ask_for_point(node)

    def _ask_for_point(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        self._say(
            _("Click in a slice where {region} is to be. A right click ends it.").format(
                region=self._target(node)
            )
        )

    def _target(self, node: slicer.vtkMRMLSegmentationNode) -> str | None:
        """Give the region that is stamped next: the chosen one, else the first that is empty."""
        from SynthCBVLib.scene.drawn_regions import region_kind

        chosen = node.GetSegmentation().GetSegment(self._editor.chosen or "")
        if chosen is not None and region_kind(chosen.GetName()) is not None:
            return chosen.GetName()
        return next_region(node)
