"""Measures of tables of typed columns."""
