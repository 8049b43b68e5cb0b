"""Say what is wrong or odd about a study before anything is computed from it; nothing is dropped silently.

`check` is the door; each kind of finding has a file of its own:

- `values`: not finite, constant, negative, clipped at the top
- `diffusion`: b-values, averages, decay with b
- `perfusion`: units of CBF, scale of M0, control and label
- `motion`: between the volumes of a series
- `contrast`: an image that does not look like its name, or one image under two names
- `slices`: missing, repeated or empty slices
- `places`: overlap and coverage of the brain
- `sides`: an image mirrored against the others
- `noise`: signal-to-noise ratio

The images need not be registered: `pictures` and `alignment` look at them in voxels of 3 mm, and
`shading` takes off what coils add before brightness is compared.
"""

from SynthCBVLib.imaging.quality.checking import check, raise_on_error
from SynthCBVLib.imaging.quality.diffusion import B_TOLERANCE, B_TOLERANCE_ABSOLUTE
from SynthCBVLib.imaging.quality.finding import Card, CardInput, Finding, Severity

__all__ = [
    "B_TOLERANCE",
    "B_TOLERANCE_ABSOLUTE",
    "Card",
    "CardInput",
    "Finding",
    "Severity",
    "check",
    "raise_on_error",
]
