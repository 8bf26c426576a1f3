"""Measures of graphs and molecules."""
