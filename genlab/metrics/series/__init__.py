"""Measures of time series: windows (N, C, T) of C channels at T steps."""
