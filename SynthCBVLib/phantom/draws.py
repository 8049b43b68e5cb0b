"""Patients drawn so that a cohort of twenty stands for the population.

Studies of this field have about twenty patients a group. Were each patient drawn by itself, the mean of a
group of twenty would stray by a fifth of its spread, and a correlation by .2: two cohorts of digital patients
could differ more from each other than from people. What makes one patient's lesion differ from the next is
therefore drawn for twenty seeds together (docs/decisions/0008).
"""

from __future__ import annotations

import numpy as np
from scipy import stats

#: Seeds k · BLOCK to (k + 1) · BLOCK - 1 of a kind of patient are drawn together.
BLOCK = 20


def balanced_normals(seed: int, stream: int, count: int) -> np.ndarray:
    """Give a patient's standard normal numbers; those of a block of seeds have mean 0 and covariance 1.

    A Latin hypercube's normal scores, whitened: over a block, each number covers its distribution evenly and
    none correlates with another. Blocks are independent of each other.

    Parameters
    ----------
    seed : int
        Of the patient.
    stream : int
        Of the kind of patient: kinds are independent.
    count : int
        How many numbers, fewer than `BLOCK`.

    Returns
    -------
    ndarray
        (count,), the same bit for bit each time.
    """
    if not 0 < count < BLOCK:
        raise ValueError(f"{count} numbers; a block of {BLOCK} patients can balance 1 to {BLOCK - 1}")
    block, row = divmod(seed, BLOCK)
    rng = np.random.default_rng(np.random.SeedSequence(block, spawn_key=(stream, count)))
    ranks = np.stack([rng.permutation(BLOCK) for _ in range(count)], 1)
    scores = stats.norm.ppf((ranks + rng.uniform(size=ranks.shape)) / BLOCK)
    scores -= scores.mean(0)
    root = np.linalg.cholesky(scores.T @ scores / BLOCK)
    return np.linalg.solve(root, scores.T)[:, row]
