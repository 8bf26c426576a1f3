"""Graphs and molecules: generated benchmarks, your own files, and the way from packed samples back to them."""
