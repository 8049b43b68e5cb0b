"""The Synthesis section: start, progress, what was noticed, and how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.panel.jobs import Failed, Noticed
from SynthCBVLib.panel.selection import Workflow
from SynthCBVLib.scene import SynthesisNodes


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
        self._started = 0.0
        self.ui.progressBar.setVisible(False)
        self.ui.findingsText.setVisible(False)
        self.ui.cancelButton.setEnabled(False)
        self.ui.synthesisStatusLabel.setText("")

    def update(self, parameters: Any, ready: bool, running: bool) -> None:
        """Bring the section up to date with the parameter node."""
        if parameters.workflow is Workflow.IVIM:
            text = _("Bundled IVIM model. The map gets the grid of T2w.")
        else:
            text = _("Bundled ASL model. The map gets the grid of T1w.")
        self.ui.modelLabel.setText(text)
        self.ui.applyButton.setEnabled(ready and not running)
        self.ui.cancelButton.setEnabled(running)

    def started(self) -> None:
        """Show that a synthesis begins."""
        self._started = time.monotonic()
        self.ui.findingsText.setPlainText("")
        self.ui.findingsText.setVisible(False)
        self.ui.progressBar.setValue(0)
        self.ui.progressBar.setVisible(True)
        self.say(_("Starting the synthesis ..."))

    def progressed(self, fraction: float, message: str) -> None:
        """Show how far it is."""
        self.ui.progressBar.setValue(round(100 * fraction))
        elapsed = time.monotonic() - self._started
        if fraction > 0.05:
            left = elapsed * (1.0 - fraction) / fraction
            message = _("{stage} (about {seconds:.0f} s left)").format(stage=message, seconds=left)
        self.say(message)

    def noticed(self, finding: Noticed) -> None:
        """Add a finding to the list."""
        logging.info("SynthCBV: %s: %s %s", finding.severity, finding.what, finding.remedy)
        self.ui.findingsText.appendPlainText(f"{finding.severity}: {finding.what} {finding.remedy}".strip())
        self.ui.findingsText.setVisible(True)

    def finished(self, nodes: SynthesisNodes) -> None:
        """Show that the maps are there."""
        seconds = time.monotonic() - self._started
        text = _("Done in {seconds:.0f} s: {name}.").format(seconds=seconds, name=nodes.rcbv.GetName())
        self._end(text, nodes)

    def failed(self, failure: Failed) -> None:
        """Show why there is no map."""
        logging.error("SynthCBV: %s\n%s", failure.message, failure.log)
        if failure.kind == "input":
            self._end(failure.message)
        else:
            text = _("The synthesis failed: {reason} Details are in the error log.")
            self._end(text.format(reason=failure.message))

    def cancelled(self) -> None:
        """Show that the user stopped it."""
        self._end(_("Cancelled; nothing was made."))

    def say(self, text: str) -> None:
        """Show one line under the progress bar."""
        self.ui.synthesisStatusLabel.setText(text)

    def _end(self, text: str, nodes: SynthesisNodes | None = None) -> None:
        self.ui.progressBar.setVisible(False)
        self.say(text)
        self._tell_end(nodes)
