"""Cohorts: the table of cases, its statistics, figures and report."""
