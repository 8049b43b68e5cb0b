"""The errors that a user can cause or meet; everything else is a fault of ours."""

from __future__ import annotations


class SynthCBVError(Exception):
    """Base of all errors that SynthCBV raises on purpose."""


class InputError(SynthCBVError, ValueError):
    """Something given by the user cannot be used.

    The message names the thing, what was seen and what is needed, so that it can be shown as it stands.

    Parameters
    ----------
    where : str
        The file, node or argument, as the user knows it.
    seen : str
        What was found there.
    needed : str
        What would have been right.
    remedy : str, optional
        What to do about it, a full sentence.
    """

    def __init__(self, where: object, seen: str, needed: str, remedy: str = "") -> None:
        self.where, self.seen, self.needed, self.remedy = str(where), seen, needed, remedy
        super().__init__(self.where, seen, needed, remedy)

    def __str__(self) -> str:
        text = f"{self.where}: {self.seen}; needed: {self.needed}."
        return f"{text} {self.remedy}" if self.remedy else text


def missing_package(error: ModuleNotFoundError, remedy: str) -> InputError:
    """Give what to tell the user in place of Python's own error: a package is missing."""
    where = f"Python package {error.name}"
    return InputError(where, "not installed", "the packages that SynthCBV uses", remedy)


class Cancelled(SynthCBVError):  # noqa: N818 - a wish of the user, not a failure
    """The user asked to stop; raised by a progress callback and passed through by all long work."""
