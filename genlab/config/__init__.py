"""From the words of a command line to a checked config, and from that to data, model and trainer. Knows Hydra."""
