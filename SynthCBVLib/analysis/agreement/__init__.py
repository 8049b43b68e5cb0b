"""Agreement of two measurements of the same cases."""

from SynthCBVLib.analysis.agreement.methods import (
    bland_altman,
    bland_altman_ratio,
    concordance,
    deming,
    p_of_r,
    paired_t,
    passing_bablok,
    pearson,
    regression,
    unpaired_t,
    voxelwise,
    voxelwise_cases,
)

__all__ = [
    "bland_altman",
    "bland_altman_ratio",
    "concordance",
    "deming",
    "p_of_r",
    "paired_t",
    "passing_bablok",
    "pearson",
    "regression",
    "unpaired_t",
    "voxelwise",
    "voxelwise_cases",
]
