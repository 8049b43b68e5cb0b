"""The Registration section: how the images were brought together, in figures and for the eye."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.panel.layout import LayoutSwitch
from SynthCBVLib.scene.pair import Registered, hide_pair, registrations_of, show_pair
from SynthCBVLib.scene.results import input_of, provenance_of


class RegistrationSection:
    """Shows what the registration did to each image of the chosen synthetic map.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    layout : LayoutSwitch
        Shows volumes in the slice views.
    """

    def __init__(self, ui: Any, layout: LayoutSwitch) -> None:
        self.ui, self._layout = ui, layout
        self._map: Any = None
        self._offered: list[str] = []
        self._back: Callable[[], None] | None = None
        self.ui.pairSelector.addItem(_("Nothing"))
        self.ui.pairSelector.currentIndexChanged.connect(self.on_pair_chosen)
        self.ui.fadeSlider.valueChanged.connect(self.on_fade)

    def update(self, parameters: Any) -> None:
        """Bring the section up to date with the parameter node."""
        self._map = parameters.syntheticMap
        found = [] if self._map is None else registrations_of(self._map)
        self.ui.registrationResultLabel.setText(_table(found, self._map))
        offered = [
            one.modality
            for one in found
            if one.matrix is not None and input_of(self._map, one.modality) is not None
        ]
        if offered != self._offered:
            self._offered = offered
            self.ui.pairSelector.clear()
            self.ui.pairSelector.addItem(_("Nothing"))
            for modality in offered:
                self.ui.pairSelector.addItem(modality)
        for widget in (self.ui.pairLabel, self.ui.pairSelector, self.ui.fadeLabel, self.ui.fadeSlider):
            widget.setEnabled(bool(offered))

    def on_pair_chosen(self, index: int) -> None:
        """Lay the chosen image over the reference in all slice views."""
        if 0 < index <= len(self._offered) and self._map is not None:
            shown = show_pair(self._map, self._offered[index - 1])
            if shown is not None:
                self._layout.show_pair(*shown)
        else:
            self.forget()

    def on_fade(self, percent: int) -> None:
        """Let the upper image shine through, 0 to 100 %."""
        self._layout.fade(percent / 100.0)

    def forget(self) -> None:
        """Stop showing a pair."""
        self._layout.hide_pair()
        hide_pair()
        self.ui.pairSelector.setCurrentIndex(0)


def _table(found: list[Registered], map: Any) -> str:
    if not found:
        if map is not None and provenance_of(map):
            return _("Nothing was to be registered: there was one image.")
        return _("What the registration did is shown here after the synthesis.")
    reference = provenance_of(map).get("reference", "")
    head = _("To {reference}").format(reference=reference)
    columns = (head, _("before"), _("after"), _("shift"), _("turn"))
    rows = ["".join(f'<td style="padding-right:12px"><b>{text}</b></td>' for text in columns)]
    for one in found:
        before, after = ("–" if v is None else f"{v:.3f}" for v in (one.before, one.after))
        moved = one.applied or one.before is None
        shift = _("{shift:.1f} mm").format(shift=one.shift) if moved else _("kept")
        turn = f"{one.angle:.1f}°" if moved else ""
        cells = (one.modality, before, after, shift, turn)
        rows.append("".join(f'<td style="padding-right:12px">{text}</td>' for text in cells))
    note = _("Before and after: mutual information with the reference, higher is better.")
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + f"</table><i>{note}</i>"
