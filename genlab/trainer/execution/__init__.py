"""Runs an update or a sampler's net: eager, compiled or as a CUDA graph, alike but for speed and rounding."""
