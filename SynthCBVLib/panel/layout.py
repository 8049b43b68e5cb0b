"""What the slice views show: results side by side, or a registered pair. Does nothing where no window is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import slicer
from slicer.i18n import tr as _

from SynthCBVLib.panel.ticker import Ticker
from SynthCBVLib.scene import SynthesisNodes
from SynthCBVLib.scene.layout import (
    FOUR_VIEWS,
    THREE_VIEWS,
    choose_layout,
    composites,
    drop_missing,
    equal_windows,
    show_in_views,
)


class LayoutSwitch:
    """Puts volumes into the slice views and remembers what a pair has displaced."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[str | None, str | None, float]] = {}
        self._pair = "", ""
        self._ticker: Ticker | None = None

    def show_results(self, nodes: SynthesisNodes, anatomy: Any, real: Any) -> None:
        """Show anatomy, real map (if any), synthetic map and uncertainty, linked, in equal windows.

        Done in the next turns of the event loop, for new views take their time.
        """
        self._begin(self._results(nodes, anatomy, real))

    def _results(self, nodes: SynthesisNodes, anatomy: Any, real: Any) -> Iterator[bool]:
        self.hide_pair()
        yield True
        if nodes.rcbv.GetScene() is None:
            return  # the scene was closed meanwhile
        equal_windows(nodes.rcbv, real, nodes.mask)
        yield True
        for node, title in ((nodes.rcbv, _("Synthetic rCBV")), (real, _("Real rCBV")),
                            (nodes.uncertainty, _("Uncertainty (SD)"))):  # fmt: skip
            _show_scale(node, title)
            yield True
        if not choose_layout(THREE_VIEWS if real is None else FOUR_VIEWS):
            return
        yield True
        if nodes.rcbv.GetScene() is None:
            return
        show_in_views(
            {
                "SynthCBVAnatomy": anatomy,
                "SynthCBVReal": real,
                "SynthCBVSynthetic": nodes.rcbv,
                "SynthCBVUncertainty": nodes.uncertainty,
            }
        )
        yield True
        self._fit()

    def show_everywhere(self, volume: Any) -> None:
        """Show a volume in all slice views; in the next turns of the event loop."""
        self._begin(self._everywhere(volume))

    def _everywhere(self, volume: Any) -> Iterator[bool]:
        self.hide_pair()
        yield True
        if volume.GetScene() is None:
            return  # the scene was closed meanwhile
        for composite in composites():
            composite.SetBackgroundVolumeID(volume.GetID())
            composite.SetForegroundVolumeID(None)
        yield True
        self._fit()

    def stop(self) -> None:
        """Go on with nothing, for the scene or the panel goes away."""
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

    def _begin(self, steps: Iterator[bool]) -> None:
        self.stop()
        self._ticker = Ticker(lambda: next(steps, False), 0)

    def show_pair(self, reference: str, image: str, opacity: float) -> None:
        """Lay an image over the reference in all slice views; both by their ids."""
        first = not self._before
        self._pair = reference, image
        for composite in composites():
            name = composite.GetLayoutName()
            if name not in self._before:
                self._before[name] = (
                    composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(),
                    composite.GetForegroundOpacity(),
                )  # fmt: skip
            composite.SetBackgroundVolumeID(reference)
            composite.SetForegroundVolumeID(image)
            composite.SetForegroundOpacity(opacity)
        if first:  # else the user's zoom stays from one pair to the next
            self._fit()

    def fade(self, opacity: float) -> None:
        """Let the upper image of a pair shine through, 0 to 1."""
        for composite in composites():
            if composite.GetLayoutName() in self._before:
                composite.SetForegroundOpacity(opacity)

    def hide_pair(self) -> None:
        """Show again what a pair has displaced, unless the user has chosen something else meanwhile."""
        reference, image = self._pair
        for composite in composites():
            before = self._before.get(composite.GetLayoutName())
            if before is None:
                continue
            if composite.GetBackgroundVolumeID() == reference:
                composite.SetBackgroundVolumeID(before[0])
            if composite.GetForegroundVolumeID() in (None, image):
                composite.SetForegroundVolumeID(before[1])
                composite.SetForegroundOpacity(before[2])
        self.forget_pair()
        drop_missing()

    def forget_pair(self) -> None:
        """Leave the views as they are: a scene that was read has its own."""
        self._before.clear()
        self._pair = "", ""

    @staticmethod
    def _fit() -> None:
        manager = slicer.app.layoutManager()
        if manager is not None:
            manager.resetSliceViews()


def _show_scale(node: Any, title: str) -> None:
    """Show the scale of a map's colours beside it."""
    if node is not None and node.GetScene() is not None:
        legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
        legend.SetTitleText(title)
