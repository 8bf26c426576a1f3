"""Draws batches of images as grids, with one class per column. Pictures are (H, W, 3) uint8 arrays."""

import math

import numpy as np
import torch
from torch import Tensor

from genlab.models.base import Family


def grid(images: Tensor, columns: int | None = None) -> np.ndarray:
    """Draws images (N, C, H, W) in [0, 1] in a grid with gray lines, as square as N allows by default.

    Images that have neither 1 nor 3 channels are shown as the mean of their channels.
    """
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
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
    """Draws corresponding images of several batches (N, C, H, W) below one another, `columns` at a time.

    Images after the last full row are not shown.
    """
    columns = min(columns, len(batches[0]))
    kept = len(batches[0]) // columns * columns
    parts = [images[:kept].view(-1, columns, *images.shape[1:]) for images in batches]
    return grid(torch.stack(parts, dim=1).flatten(0, 2), columns)


def classes_in_turn(family: Family, n: int) -> Tensor | None:
    """Cycles through the classes with training samples, (n,): a grid row shows each once. None if unconditional.

    Equal shares are for comparing classes by eye, or on request; samples for measures are drawn in the shares of the
    data.
    """
    if not family.conditional:
        return None
    known = known_classes(family)
    return known[torch.arange(n, device=family.device) % len(known)]


def known_classes(family: Family) -> Tensor:
    """Returns the classes that have training samples, (K,) int64; a model cannot know the others."""
    shares = torch.tensor(family.spec.shares, device=family.device)
    return shares.nonzero().flatten()
