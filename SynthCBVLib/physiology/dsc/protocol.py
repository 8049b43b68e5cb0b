"""How a dynamic susceptibility contrast (DSC) series was acquired and how it is to be evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from SynthCBVLib.errors import InputError


@dataclass(frozen=True)
class DscProtocol:
    """Parameters of the series and of its evaluation; times in seconds.

    Parameters
    ----------
    echo_time : float
        s.
    quantity : {"signal", "delta_r2star"}
        Whether curves are signals or already changes of R2* (or concentrations).
    leakage : {"bidirectional", "unidirectional", "none"}
        Leakage correction: Boxerman-Schmainda-Weisskoff with return of the contrast agent, without, or none.
    integration : {"numerical", "gamma-variate"}
        Area from the bolus' arrival to the end of the series, or of a gamma-variate fit of the first pass.
    baseline : tuple of int, optional
        First and one past the last time point before the bolus; found from the mean curve by default.
    oscillation_limit : float
        Largest oscillation index of the residue function in the deconvolution (Wu et al. 2003).
    """

    echo_time: float = 0.03
    quantity: str = "signal"
    leakage: str = "bidirectional"
    integration: str = "numerical"
    baseline: tuple[int, int] | None = None
    oscillation_limit: float = 0.065

    def __post_init__(self) -> None:
        if not (math.isfinite(self.echo_time) and self.echo_time > 0):
            raise InputError("DSC echo time", f"{self.echo_time:g} s", "a positive time in seconds")
        if self.echo_time > 1:
            raise InputError(
                "DSC echo time", f"{self.echo_time:g} s", "a time in seconds",
                f"If {self.echo_time:g} is in milliseconds, give {self.echo_time / 1000:g}.",
            )  # fmt: skip
        for name, value, allowed in (
            ("quantity", self.quantity, ("signal", "delta_r2star")),
            ("leakage correction", self.leakage, ("unidirectional", "bidirectional", "none")),
            ("integration", self.integration, ("numerical", "gamma-variate")),
        ):
            if value not in allowed:
                raise InputError(f"DSC {name}", f"'{value}'", " or ".join(f"'{a}'" for a in allowed))
        if self.oscillation_limit <= 0:
            raise InputError("DSC oscillation limit", f"{self.oscillation_limit:g}", "a positive number")
