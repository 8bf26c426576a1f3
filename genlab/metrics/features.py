"""The nets in whose feature spaces images are compared. A measure without its net's name and fingerprint is no number.

Two nets that differ in a single weight give different values: reports compare under one fingerprint only.
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
    """A frozen net with a name: images (N, C, H, W), in [0, 1] or uint8 pixels -> Features, by chunks.

    Args:
        name: of the recipe and the data it was trained on, for reports.
        net: (B, C, H, W) in [0, 1] -> (features, logits); it is put into evaluation mode and frozen.
        accuracy: share of the test images that it classifies rightly, where that is known.
        balanced: whether its classes are those of the data, so that counting them makes sense.
        chunk: images at a time; a hundred or so stay in the caches of a CPU.
    """

    def __init__(
        self, name: str, net: nn.Module, accuracy: float | None = None, balanced: bool = False, chunk: int = 125
    ) -> None:
        self.name, self.accuracy, self.balanced, self.chunk = name, accuracy, balanced, chunk
        self.net = net.requires_grad_(False).eval()
        self.fingerprint = fingerprint(*net.state_dict().values())

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Features on the net's device (on the CPU for MPS, which has no float64). Draws no random numbers.

        Raises:
            ValueError: pixels that are not finite.
        """
        device = next(self.net.parameters()).device
        parts = []
        for part in images.split(self.chunk):
            if not part.isfinite().all():
                raise ValueError("images with pixels that are not finite cannot be judged")
            x = part.to(device).float()
            parts.append(self.net(x / 255 if part.dtype == torch.uint8 else x))
        features, logits = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return Features(features.cpu(), logits.cpu()) if device.type == "mps" else Features(features, logits)

    def __str__(self) -> str:
        known = "" if self.accuracy is None else f", {100 * self.accuracy:.2f} % test accuracy"
        return f"{self.name} {self.fingerprint}{known}"


Say = Callable[[str], None]  # what tells the user, in a line, what takes so long


def fingerprint(*tensors: Tensor) -> str:
    """First 12 hex digits of the SHA-256 of shapes, types and bytes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:12]
