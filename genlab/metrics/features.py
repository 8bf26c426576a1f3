"""Nets in whose feature spaces images are compared.

Two nets that differ in a single weight give different values, so a value is meaningless without the name and the
fingerprint of its net: compare reports only under the same fingerprint.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Features(NamedTuple):
    features: Tensor  # (N, D) float32
    logits: Tensor  # (N, K) float32


class FeatureNet:
    """A frozen net with a name: images (N, C, H, W), in [0, 1] or uint8 pixels -> Features, in chunks.

    Args:
        name: the recipe and the data it was trained on, for reports.
        net: (B, C, H, W) in [0, 1] -> (features, logits); it is put into evaluation mode and frozen.
        accuracy: share of the test images that it classifies correctly, if known.
        balanced: whether its classes are those of the data, so that counting them makes sense.
        chunk: images at a time; about a hundred fit into the caches of a CPU.
    """

    def __init__(
        self, name: str, net: nn.Module, accuracy: float | None = None, balanced: bool = False, chunk: int = 125
    ) -> None:
        self.name, self.accuracy, self.balanced, self.chunk = name, accuracy, balanced, chunk
        self.net = net.requires_grad_(False).eval()
        self.fingerprint = fingerprint(*net.state_dict().values())

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Returns the features on the net's device (on the CPU for MPS, which has no float64). Draws no random numbers.

        Raises:
            ValueError: some pixels are not finite.
        """
        device = next(self.net.parameters()).device
        parts = []
        for part in images.split(self.chunk):
            if not part.isfinite().all():
                raise ValueError("cannot judge images with pixels that are not finite")
            x = part.to(device).float()
            parts.append(self.net(x / 255 if part.dtype == torch.uint8 else x))
        features, logits = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return Features(features.cpu(), logits.cpu()) if device.type == "mps" else Features(features, logits)

    def __str__(self) -> str:
        known = "" if self.accuracy is None else f", {100 * self.accuracy:.2f} % test accuracy"
        return f"{self.name} {self.fingerprint}{known}"


Say = Callable[[str], None]  # shows the user one line on what is taking long


def fingerprint(*tensors: Tensor) -> str:
    """Returns the first 12 hex digits of the SHA-256 of the tensors' shapes, types and bytes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:12]
