"""Torch modules; importing this package does not import torch."""
