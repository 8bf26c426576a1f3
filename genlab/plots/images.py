"""Draws batches of images side by side, those of a class in one column. Pictures are (H, W, 3) uint8 arrays."""

import math

import numpy as np
import torch
from torch import Tensor

from genlab.models.base import Family


def grid(images: Tensor, columns: int | None = None) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] side by side with a gray line between; as square as N allows.

    Of other than 1 or 3 channels their mean is shown.
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
    """Batches of images (N, C, H, W) that belong together, one under the other, `columns` at a time.

    What is left over after the last full row is not shown.
    """
    columns = min(columns, len(batches[0]))
    kept = len(batches[0]) // columns * columns
    parts = [images[:kept].view(-1, columns, *images.shape[1:]) for images in batches]
    return grid(torch.stack(parts, dim=1).flatten(0, 2), columns)


def classes_in_turn(family: Family, n: int) -> Tensor | None:
    """The classes with training samples in turn, (n,): a row of a grid shows one of each. None if unlabelled.

    Even shares are for looking at classes side by side, and for who asks for them; samples that are measured are drawn
    in the shares of the data.
    """
    if not family.conditional:
        return None
    known = known_classes(family)
    return known[torch.arange(n, device=family.device) % len(known)]


def known_classes(family: Family) -> Tensor:
    """The classes that have training samples: (K,) int64. A model knows nothing of any other."""
    shares = torch.tensor(family.spec.shares, device=family.device)
    return shares.nonzero().flatten()
