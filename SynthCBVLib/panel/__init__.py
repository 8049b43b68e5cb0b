"""The module's panel in 3D Slicer: one file a section, and the worker process behind it.

The only place, with the module file, that uses Qt. Only what PythonQt and PySide share is used: setters,
``signal.connect``, and values from the parameter node instead of from widgets.
"""
