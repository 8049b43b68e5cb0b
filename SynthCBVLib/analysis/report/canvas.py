"""An empty figure to draw on: no window opens, and nothing of matplotlib's global state is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from SynthCBVLib.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(**options: Any) -> Figure:
    """Make a white figure with an Agg canvas; options as matplotlib's Figure takes them.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "figures", "matplotlib is not installed", "matplotlib 3.9 or later", "Install it with pip."
        ) from None
    figure = Figure(facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure
