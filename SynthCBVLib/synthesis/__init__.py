"""Study to rCBV map: model card and weights, preprocessing, inference, uncertainty, provenance.

Importing this package does not import torch; `load_model` and `synthesize` do.
"""

from SynthCBVLib.synthesis.card import ModelCard
from SynthCBVLib.synthesis.model import Model, load_model
from SynthCBVLib.synthesis.pipeline import Synthesis, synthesize

__all__ = ["Model", "ModelCard", "Synthesis", "load_model", "synthesize"]
