"""The MRML scene to work in: Slicer's own, or one made for plain Python."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer


def current_scene() -> slicer.vtkMRMLScene:
    """Give the scene to work in: ``slicer.mrmlScene``, made by `new_scene` where there is none yet."""
    import slicer

    scene = getattr(slicer, "mrmlScene", None)
    return new_scene() if scene is None else scene


def new_scene() -> slicer.vtkMRMLScene:
    """Make an empty scene in plain Python and make it ``slicer.mrmlScene``.

    Sets up what the Slicer application otherwise does: the logics that unpack scene bundles and convert
    segments, and the standard colour tables.

    Returns
    -------
    vtkMRMLScene
        The scene; its logics live as long as it does.

    Raises
    ------
    RuntimeError
        Inside the Slicer application, which has one scene for its whole life.
    """
    import slicer

    if hasattr(slicer, "app"):
        raise RuntimeError("Inside 3D Slicer there is one scene: use slicer.mrmlScene.")
    scene = slicer.vtkMRMLScene()
    folder = tempfile.TemporaryDirectory(prefix="synthcbv-scene-")
    application = slicer.vtkSlicerApplicationLogic()
    application.SetTemporaryPath(folder.name)
    application.SetHomeDirectory(folder.name)
    application.SetMRMLScene(scene)
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLApplicationLogic(application)
    remote.GetCacheManager().SetRemoteCacheDirectory(folder.name)
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLApplicationLogic(application)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    application.SetMRMLSceneDataIO(scene, remote, data)
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLApplicationLogic(application)
    colours.SetMRMLScene(scene)
    application.SetColorLogic(colours)
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()  # brings the rules between surfaces and voxels
    segmentations.SetMRMLScene(scene)
    # Nothing else holds the logics; without them reading a bundle fails.
    scene.synthcbv_keeps = (application, remote, data, colours, segmentations, folder)
    slicer.mrmlScene = scene
    return scene
