"""Cohort to weights. Importing this package does not import torch; its `loop` does."""
