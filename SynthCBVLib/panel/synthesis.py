"""The Synthesis section: model and device, start, progress, what was noticed, and how it ended."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Sequence
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.cards import ShownCard, shown_card
from SynthCBVLib.panel.estimate import TimeLeft
from SynthCBVLib.panel.jobs import Failed, Noticed, sentence
from SynthCBVLib.panel.memory import memory_text
from SynthCBVLib.panel.selection import ModelChoice, model_of
from SynthCBVLib.scene import SynthesisNodes
from SynthCBVLib.scene.results import findings_of

#: Colour of each severity's name; seen on light and on dark.
COLOURS = {"error": "#d0402b", "warning": "#c77c02", "info": "#4a7fb5"}


class SynthesisSection:
    """Listens to a background synthesis and shows it.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    ended : callable
        Called at the end of a synthesis, with the new nodes or None.
    """

    def __init__(self, ui: Any, ended: Callable[[SynthesisNodes | None], None]) -> None:
        self.ui = ui
        self._tell_end = ended
        self._left = TimeLeft()
        self._noticed: list[Noticed] = []
        self._parameters: Any = None
        self._busy = False
        self._path: str | None = None  # in the field of the weights file
        self.ui.progressBar.setVisible(False)
        self.ui.findingsText.setVisible(False)
        self.ui.cancelButton.setEnabled(False)
        self.say("")
        self.ui.weightsPath.currentPathChanged.connect(self.on_weights_chosen)
        self.ui.weightsPath.validInputChanged.connect(self.on_weights_valid)

    @property
    def busy(self) -> bool:
        """Whether a synthesis is shown to be under way."""
        return self._busy

    def update(self, parameters: Any, ready: bool, running: bool) -> None:
        """Bring the section up to date with the parameter node."""
        self._parameters = parameters
        from_file = parameters.model is ModelChoice.FILE
        self.ui.weightsLabel.setVisible(from_file)
        self.ui.weightsPath.setVisible(from_file)
        if parameters.weightsFile != self._path:  # else it would move the cursor of one who types
            self._path = parameters.weightsFile
            self.ui.weightsPath.setCurrentPath(self._path)
        try:
            card = shown_card(model_of(parameters))
            text, trained, usable = _card_text(card), card.training_data, True
        except InputError as error:
            text, trained, usable = str(error), "", False
        banner = _("Research demonstration, not for diagnosis.")
        banner = f"<b>{html.escape(banner)}</b>"
        self.ui.bannerLabel.setText(f"{banner}<br/>{html.escape(trained)}" if trained else banner)
        self.ui.cardLabel.setText(text)
        self.ui.memoryLabel.setText(memory_text(parameters.device.value))
        self.ui.applyButton.setEnabled(ready and usable and not running)
        self.ui.cancelButton.setEnabled(running and self._busy)
        if not self._busy:
            made = parameters.syntheticMap
            self._show_findings(() if made is None else findings_of(made))

    def on_weights_chosen(self, path: str) -> None:
        """Keep the file that the user chose."""
        self._path = path
        if self._parameters is not None and path != self._parameters.weightsFile:
            self._parameters.weightsFile = path

    def on_weights_valid(self, valid: bool) -> None:
        """Keep a path of another ending too, of which the field tells only so: else the former one stays."""
        if not valid:
            self.on_weights_chosen(self.ui.weightsPath.property("currentPath"))

    def started(self) -> None:
        """Show that a synthesis begins."""
        self._left, self._noticed, self._busy = TimeLeft(), [], True
        self._show_findings(())
        self.ui.progressBar.setValue(0)
        self.ui.progressBar.setVisible(True)
        self.say(_("Starting the synthesis ..."))

    def progressed(self, fraction: float, message: str) -> None:
        """Show how far it is."""
        self.ui.progressBar.setValue(round(100 * fraction))
        seconds = self._left.after(fraction)
        if seconds is not None:
            message = _("{stage} (about {seconds:.0f} s left)").format(stage=message, seconds=seconds)
        self.say(message)

    def noticed(self, finding: Noticed) -> None:
        """Add a finding to the list."""
        logging.info("SynthCBV: %s: %s %s", finding.severity, finding.what, finding.remedy)
        self._noticed.append(finding)
        self._show_findings(self._noticed)

    def finished(self, nodes: SynthesisNodes) -> None:
        """Show that the maps are there."""
        text = _("Done in {seconds:.0f} s: {name}.")
        self._end(text.format(seconds=self._left.elapsed, name=nodes.rcbv.GetName()), nodes)

    def failed(self, failure: Failed) -> None:
        """Show why there is no map."""
        logging.error("SynthCBV: %s\n%s", failure.message, failure.log)
        if failure.kind == "input":
            self._end(failure.message)
        else:
            text = _("The synthesis failed: {reason} Click Apply to try again; details are in the error log.")
            self._end(text.format(reason=sentence(failure.message)))

    def cancelled(self) -> None:
        """Show that the user stopped it, if there was anything to stop."""
        if self._busy:
            self._end(_("Cancelled; nothing was made."))

    def say(self, text: str) -> None:
        """Show one line under the progress bar."""
        self.ui.synthesisStatusLabel.setText(text)
        self.ui.synthesisStatusLabel.setVisible(bool(text))

    def _end(self, text: str, nodes: SynthesisNodes | None = None) -> None:
        self._busy = False
        self.ui.progressBar.setVisible(False)
        self.say(text)
        self._tell_end(nodes)

    def _show_findings(self, findings: Sequence[Any]) -> None:
        self.ui.findingsText.setHtml("".join(_finding_html(finding) for finding in findings))
        self.ui.findingsText.setVisible(bool(findings))


def _finding_html(finding: Any) -> str:
    """Give a paragraph: severity, modality, what, and the remedy below."""
    severity = {"error": _("Error"), "warning": _("Warning"), "info": _("Note")}.get(finding.severity, "")
    colour = COLOURS.get(finding.severity, COLOURS["info"])
    where = f" {html.escape(str(finding.modality))}" if finding.modality else ""
    text = f'<b><span style="color:{colour}">{severity}</span>{where}:</b> {html.escape(finding.what)}'
    if finding.remedy:
        text += f"<br/><i>{html.escape(finding.remedy)}</i>"
    return f'<p style="margin:0 0 4px 0">{text}</p>'


def _card_text(card: ShownCard) -> str:
    if not card.optional:
        text = _("<b>{name} {version}</b> from {required}.")
    elif card.required:
        text = _("<b>{name} {version}</b> from {required}; if at hand, also {optional}.")
    else:
        text = _("<b>{name} {version}</b> from those of {optional} that are at hand.")
    names = {"name": card.name.upper(), "version": card.version,
             "required": ", ".join(card.required), "optional": ", ".join(card.optional)}  # fmt: skip
    lines = [text.format(**{key: html.escape(value) for key, value in names.items()})]
    similarity, cases = card.metrics.get("validation_ssim"), card.metrics.get("validation_cases")
    if isinstance(similarity, int | float) and cases:
        text = _("SSIM {similarity:.2f} on {cases} validation cases.")
        lines.append(text.format(similarity=similarity, cases=cases))
    return "<br/>".join(line for line in lines if line)
