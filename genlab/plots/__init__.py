"""Draws images, points, tables, series and latent codes. Pictures are (H, W, 3) uint8 arrays."""
