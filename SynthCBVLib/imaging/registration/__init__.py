"""Rigid and affine alignment of two images by mutual information."""

from SynthCBVLib.imaging.registration.align import Model, Registration, register

__all__ = ["Model", "Registration", "register"]
