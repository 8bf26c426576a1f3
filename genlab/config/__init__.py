"""Turns command-line words into a checked config, and the config into data, model and trainer. Uses Hydra."""
