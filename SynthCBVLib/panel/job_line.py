"""A progress bar, a Cancel button and a line of text that show one work of the worker."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.panel.jobs import Failed, Noticed, sentence


class JobLine:
    """Listens to a work and shows it.

    Parameters
    ----------
    bar, button, label : widgets
        Progress bar, Cancel button and status label.
    cancel : callable
        Ends the work.
    changed : callable
        Called when a work begins or ends.
    """

    def __init__(
        self, bar: Any, button: Any, label: Any, cancel: Callable[[], None], changed: Callable[[], None]
    ) -> None:
        self._bar, self._button, self._label = bar, button, label
        self._end_work, self._changed = cancel, changed
        self._done: Callable[[Any], str] | None = None
        button.clicked.connect(self.cancel)
        self._show(False)
        self.say("")

    @property
    def running(self) -> bool:
        """Whether a work is shown."""
        return self._done is not None

    def begin(self, text: str, done: Callable[[Any], str]) -> None:
        """Show that a work begins; `done` is given its result and gives the words to show then."""
        self._done = done
        self._bar.setValue(0)
        self._show(True)
        self.say(text)
        self._changed()

    def progressed(self, fraction: float, message: str) -> None:
        """Show how far it is."""
        self._bar.setValue(round(100 * fraction))
        self.say(_("{stage} ...").format(stage=message))

    def noticed(self, finding: Noticed) -> None:
        """Keep in the log what is shown at the end with the result."""
        logging.info("SynthCBV: %s: %s %s", finding.severity, finding.what, finding.remedy)

    def finished(self, result: Any) -> None:
        """Show that it is done."""
        done = self._end()
        if done is not None:
            self.say(done(result))
        self._changed()

    def failed(self, failure: Failed) -> None:
        """Show why nothing was made."""
        logging.error("SynthCBV: %s\n%s", failure.message, failure.log)
        text = failure.message
        if failure.kind != "input":
            text = _("This failed: {reason} Details are in the error log.").format(reason=sentence(text))
        self._end()
        self.say(text)
        self._changed()

    def refused(self, error: Exception) -> None:
        """Show why a work could not begin."""
        logging.error("SynthCBV: %s", error)
        self._end()
        self.say(str(error))
        self._changed()

    def cancel(self) -> None:
        """End the work, as the user wishes."""
        if self.running:
            self._end_work()
            self._end()
            self.say(_("Cancelled; nothing was changed."))
            self._changed()

    def forget(self) -> None:
        """Show nothing, since the scene goes away."""
        self._end()
        self.say("")

    def say(self, text: str) -> None:
        """Show a line of text, or none."""
        self._label.setText(text)
        self._label.setVisible(bool(text))

    def _end(self) -> Callable[[Any], str] | None:
        done, self._done = self._done, None
        self._show(False)
        return done

    def _show(self, running: bool) -> None:
        self._bar.setVisible(running)
        self._button.setVisible(running)
        self._button.setEnabled(running)
