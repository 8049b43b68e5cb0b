"""Changes of the nodes that a section shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer


class Watcher:
    """Calls a function whenever what some nodes hold changes.

    Parameters
    ----------
    changed : callable
        Called without arguments, from within the change: it must be quick.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._tags: list[tuple[object, int]] = []
        self._watched: list[object] = []

    def watch(self, nodes: Sequence[slicer.vtkMRMLNode | None]) -> bool:
        """Watch these nodes and no others; tell whether they are others than before."""
        wanted: list[object] = [node for node in nodes if node is not None]
        # Reading a scene may give a node another segmentation inside.
        wanted += [node.GetSegmentation() for node in wanted if node.IsA("vtkMRMLSegmentationNode")]
        same = len(wanted) == len(self._watched) and all(
            one is other for one, other in zip(wanted, self._watched, strict=True)
        )
        if same:
            return False
        for watched, tag in self._tags:
            watched.RemoveObserver(tag)
        self._tags, self._watched = [], wanted
        for one in wanted:
            for event in _events(one):
                self._tags.append((one, one.AddObserver(event, self._on_change)))
        return True

    def _on_change(self, caller: object, event: object) -> None:
        self._changed()


def _events(one: object) -> tuple[int, ...]:
    if one.IsA("vtkSegmentation"):
        kinds = slicer.vtkSegmentation
        return (
            kinds.SegmentAdded,
            kinds.SegmentRemoved,
            kinds.SegmentModified,  # its name, which tells what it is
            kinds.SourceRepresentationModified,
        )
    if one.IsA("vtkMRMLVolumeNode"):
        return (one.ImageDataModifiedEvent, one.TransformModifiedEvent)
    return (one.TransformModifiedEvent,)
