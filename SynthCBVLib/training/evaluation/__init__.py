"""Evaluation of weights on a cohort with real rCBV maps: the papers' tables for any cohort and any weights.

`subjects` finds the patients, `preparing` brings each onto the models' grids as a user's study would be,
once; `scoring` measures each model on each patient, once; `run` does both and trains the baselines; `tables`
and `calibration` turn scores into statistics (those of `SynthCBVLib.analysis`), `bars` holds them against
what was aimed at, `sections`, `figures` and `page` write them.
"""
