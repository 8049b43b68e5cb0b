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
    equal_windows,
    show_in_views,
)


class LayoutSwitch:
    """Puts volumes into the slice views and remembers what a pair has displaced."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[str | None, str | None, float]] = {}
        self._opacity = 0.5
        self._ticker: Ticker | None = None

    def show_results(self, nodes: SynthesisNodes, anatomy: Any, real: Any) -> None:
        """Show anatomy, real map (if any), synthetic map and uncertainty, linked, in equal windows.

        Done in the next turns of the event loop, for new views take their time.
        """
        steps = self._results(nodes, anatomy, real)
        self._ticker = Ticker(lambda: next(steps, False), 0)

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
        """Show a volume in all slice views."""
        self.hide_pair()
        for composite in composites():
            composite.SetBackgroundVolumeID(volume.GetID())
            composite.SetForegroundVolumeID(None)
        self._fit()

    def show_pair(self, reference: str, image: str) -> None:
        """Lay an image over the reference in all slice views; both by their ids."""
        for composite in composites():
            name = composite.GetLayoutName()
            if name not in self._before:
                self._before[name] = (
                    composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(),
                    composite.GetForegroundOpacity(),
                )  # fmt: skip
            composite.SetBackgroundVolumeID(reference)
            composite.SetForegroundVolumeID(image)
            composite.SetForegroundOpacity(self._opacity)
        self._fit()

    def fade(self, opacity: float) -> None:
        """Let the upper image of a pair shine through, 0 to 1."""
        self._opacity = opacity
        for composite in composites():
            if composite.GetLayoutName() in self._before:
                composite.SetForegroundOpacity(opacity)

    def hide_pair(self) -> None:
        """Show again what a pair has displaced."""
        for composite in composites():
            before = self._before.get(composite.GetLayoutName())
            if before is not None:
                composite.SetBackgroundVolumeID(before[0])
                composite.SetForegroundVolumeID(before[1])
                composite.SetForegroundOpacity(before[2])
        self._before.clear()

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
