"""Draws batches of images side by side. Pictures are (H, W, 3) uint8 arrays."""

import math

import numpy as np
import torch
from torch import Tensor


def grid(images: Tensor, columns: int | None = None) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1], C 1 or 3, side by side with a gray line between; as square as N allows."""
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 96, np.uint8)
    pixels = images.clamp(0, 1).mul(255).round().byte().expand(n, 3 if channels == 1 else channels, height, width)
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).cpu().numpy()):
        top, left = 1 + i // columns * (height + 1), 1 + i % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image
    return canvas


def rows(*batches: Tensor, columns: int = 8) -> np.ndarray:
    """Batches of images (N, C, H, W) that belong together, one under the other, `columns` at a time.

    What is left over after the last full row is not shown.
    """
    columns = min(columns, len(batches[0]))
    kept = len(batches[0]) // columns * columns
    parts = [images[:kept].view(-1, columns, *images.shape[1:]) for images in batches]
    return grid(torch.stack(parts, dim=1).flatten(0, 2), columns)
