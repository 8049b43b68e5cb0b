"""The contrast bolus: concentration in blood that arrives, passes and recirculates. Times in s, mmol/l."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Step of the tables, s.
STEP = 0.2
#: Transit times that tables are made for, s.
TRANSIT_TIMES = np.geomspace(1.0, 24.0, 24)


@dataclass(frozen=True)
class Bolus:
    """One injection as the brain's arteries see it.

    Attributes
    ----------
    arrival : float
        When the brain's arteries see it first, s.
    alpha, beta : float
        Shape and scale (s) of the first pass, a gamma-variate function.
    peak : float
        Highest concentration, mmol/l.
    recirculation : float
        Height of the second pass, relative to the first.
    rest : float
        Concentration that stays in the blood, relative to the peak.
    """

    arrival: float
    alpha: float
    beta: float
    peak: float
    recirculation: float
    rest: float

    def concentration(self, times: np.ndarray) -> np.ndarray:
        """Give the arterial concentration at times in s, mmol/l."""
        first = self._pass(times - self.arrival, 1.0)
        second = self.recirculation * self._pass(times - self.arrival - 12.0, 1.7)
        washed = (
            np.cumsum(first) / max(first.sum(), 1e-9) * np.exp(-np.maximum(times - self.arrival, 0) / 400)
        )
        return self.peak * (first + second + self.rest * washed)

    def _pass(self, lag: np.ndarray, spread: float) -> np.ndarray:
        x = np.maximum(lag, 0) / (self.alpha * self.beta * spread)
        safe = np.where(x > 0, x, 1.0)
        return np.where(x > 0, np.exp(self.alpha * (1 + np.log(safe) - safe)), 0.0)


def draw_bolus(rng: np.random.Generator, injection: float) -> Bolus:
    """Draw a bolus of .1 mmol/kg at 5 ml/s that is injected at `injection` s."""
    return Bolus(
        arrival=injection + rng.uniform(8.5, 12.5),
        alpha=rng.uniform(2.6, 3.4),
        beta=rng.uniform(1.2, 1.7),
        peak=rng.uniform(5.5, 7.5),
        recirculation=rng.uniform(0.12, 0.22),
        rest=rng.uniform(0.10, 0.16),
    )


class TissueCurves:
    """Concentration in the blood of tissue: the arterial one, delayed and spread by the transit time.

    Parameters
    ----------
    bolus : Bolus
    times : ndarray (n_t,)
        Of the images, s.
    """

    def __init__(self, bolus: Bolus, times: np.ndarray) -> None:
        self._times = np.asarray(times, float)
        fine = np.arange(0.0, self._times[-1] + STEP, STEP)
        arterial = bolus.concentration(fine)
        rows = []
        for transit in TRANSIT_TIMES:
            residue = np.exp(-fine / transit)
            # The residue's discrete sum is one, so that no blood is lost.
            rows.append(
                np.convolve(arterial, residue / (residue.sum() / -np.expm1(-fine[-1] / transit)))[: fine.size]
            )
        self._arterial = arterial.astype(np.float32)
        self._table = np.stack(rows).astype(np.float32)

    def arterial(self) -> np.ndarray:
        """Give the arterial concentration (n_t,) at the images' times."""
        return self._arterial[np.round(self._times / STEP).astype(int)]

    def tissue(self, transit: np.ndarray, delay: np.ndarray) -> np.ndarray:
        """Give the concentration in tissue's blood (n, n_t) for transit times and delays (n,), s."""
        transit = np.clip(transit, TRANSIT_TIMES[0], TRANSIT_TIMES[-1] * 0.999)
        ratio = np.log(TRANSIT_TIMES[1] / TRANSIT_TIMES[0])
        place = np.log(transit / TRANSIT_TIMES[0]) / ratio
        low = place.astype(int)
        share = (place - low).astype(np.float32)[:, None]
        # Delays are rounded to the table's step.
        at = np.round((self._times[None, :] - np.asarray(delay)[:, None]) / STEP).astype(np.int32)
        np.clip(at, 0, self._table.shape[1] - 1, out=at)
        width = self._table.shape[1]
        flat = at + (low * width)[:, None]
        table = self._table.ravel()
        return (1 - share) * table[flat] + share * table[flat + width]

    def leaked(self, plasma: np.ndarray, ktrans: np.ndarray, ve: np.ndarray | float) -> np.ndarray:
        """Give the concentration that leaked into tissue (n, n_t), mmol per litre of tissue.

        Tofts' model, dC/dt = Ktrans (Cp - C / ve), stepped from image to image with the mean plasma
        concentration of each step.

        Parameters
        ----------
        plasma : ndarray (n, n_t)
            Concentration in plasma.
        ktrans : ndarray (n,)
            1/s.
        ve : ndarray (n,) or float
            Extravascular extracellular volume fraction.
        """
        result = np.zeros_like(plasma)
        steps = np.diff(self._times).astype(np.float32)
        rate = ktrans / ve
        for k, step in enumerate(steps):
            keep = np.exp(-rate * step)
            gain = np.where(rate > 0, (1 - keep) / np.maximum(rate, 1e-9), step) * ktrans
            result[:, k + 1] = keep * result[:, k] + gain * 0.5 * (plasma[:, k] + plasma[:, k + 1])
        return result
