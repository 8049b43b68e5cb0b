"""SynthCBV: relative cerebral blood volume (rCBV) maps synthesised from IVIM or ASL MRI.

Importing the package loads neither torch nor Qt nor Slicer; each is loaded where it is needed.
"""

__version__ = "0.1.0"
