"""Evaluates a trained family: exercises its abilities and judges its samples. This file does not import torch."""

NETS = ("auto", "classifier", "inception", "none")  # choices of the feature net that judges images
PROTOCOLS = ("timegan",)  # ways to take measures exactly as papers do
