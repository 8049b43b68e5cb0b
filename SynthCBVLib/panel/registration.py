"""The Registration section: how the images were brought together, in figures and for the eye."""

from __future__ import annotations

import html
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.layout import LayoutSwitch
from SynthCBVLib.panel.selection import Workflow
from SynthCBVLib.panel.ticker import Ticker
from SynthCBVLib.scene.layout import drop_missing
from SynthCBVLib.scene.pair import Registered, hide_pair, pair_steps, registrations_of
from SynthCBVLib.scene.results import input_of, provenance_of
from SynthCBVLib.scene.steps import Stepper


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
        self._opacity, self._checkerboard = 0.5, False
        self._chosen: str | None = None
        self._making: Stepper | None = None
        self._ticker: Ticker | None = None
        self.ui.pairSelector.addItem(_("Nothing"))
        for text in (_("Fade"), _("Checkerboard")):
            self.ui.pairViewSelector.addItem(text)
        self.ui.pairSelector.currentIndexChanged.connect(self.on_pair_chosen)
        self.ui.pairViewSelector.currentIndexChanged.connect(self.on_view_chosen)
        self.ui.fadeSlider.valueChanged.connect(self.on_fade)

    def update(self, parameters: Any) -> None:
        """Bring the section up to date with the parameter node."""
        self.ui.distortionCheckBox.setVisible(parameters.workflow is Workflow.IVIM)
        if parameters.syntheticMap is not self._map:
            self.forget()  # the pair is one of another map
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
        for widget in (
            self.ui.pairLabel, self.ui.pairSelector, self.ui.pairViewLabel, self.ui.pairViewSelector,
        ):  # fmt: skip
            widget.setEnabled(bool(offered))
        self._refresh_slider()

    def on_pair_chosen(self, index: int) -> None:
        """Lay the chosen image over the reference in all slice views."""
        if 0 < index <= len(self._offered) and self._map is not None:
            self._show(self._offered[index - 1])
        else:
            self.forget()

    def on_view_chosen(self, index: int) -> None:
        """Fade between the two images, or show them in the squares of a checkerboard."""
        self._checkerboard = index == 1
        self._refresh_slider()
        if self._chosen is not None:
            self._show(self._chosen)

    def on_fade(self, percent: int) -> None:
        """Let the upper image shine through, 0 to 100 %."""
        self._opacity = percent / 100.0
        if not self._checkerboard:
            self._layout.fade(self._opacity)

    def forget(self) -> None:
        """Stop showing a pair."""
        self._layout.hide_pair()
        self._drop()

    def release(self) -> None:
        """Let go of a pair whose views were taken over by a scene that was read."""
        self._layout.forget_pair()
        self._drop()
        drop_missing()

    def _drop(self) -> None:
        self._stop()
        self._chosen = None
        hide_pair()
        self.ui.pairSelector.setCurrentIndex(0)

    def _show(self, modality: str) -> None:
        """Make what shows an image in the next turns of the event loop, for large images take a while."""
        self._stop()
        self._chosen = modality
        self._making = making = Stepper(pair_steps(self._map, modality, self._checkerboard))

        def tick() -> bool:
            try:
                if not making.turn():
                    return True
            except InputError as error:
                self.forget()
                text = _table(registrations_of(self._map), self._map)
                self.ui.registrationResultLabel.setText(f"{text}<p>{html.escape(str(error))}</p>")
                return False
            if making.result is not None:
                self._layout.show_pair(*making.result, 1.0 if self._checkerboard else self._opacity)
            return False

        self._ticker = Ticker(tick, 0)

    def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
        if self._making is not None:
            self._making.stop()
        self._ticker = self._making = None

    def _refresh_slider(self) -> None:
        for widget in (self.ui.fadeLabel, self.ui.fadeSlider):
            widget.setEnabled(bool(self._offered) and not self._checkerboard)


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
