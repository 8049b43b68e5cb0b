"""Cohort to weights."""
