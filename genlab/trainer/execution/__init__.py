"""Runs an update or a sampler's net eagerly, compiled or as a CUDA graph; these differ only in speed and rounding."""
