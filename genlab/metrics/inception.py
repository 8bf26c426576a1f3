"""The feature net `inception`: the Inception-v3 that FID and the Inception score are defined by, from torch-fidelity.

torch-fidelity has the network of 2015 with its weights converted from TensorFlow, and resizes as TensorFlow did;
torchmetrics' FID uses the same code. Images are converted to 8-bit RGB (gray ones repeat their channel three times) of
299x299 pixels. There are D = 2048 features, and 1008 logits without bias, as in the Inception score of 2016. Nothing
is downloaded here: the weights must be where `weights_file` looks for them.

C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, https://arxiv.org/abs/1512.00567.
A. Obukhov et al., "High-fidelity performance metrics for generative models in PyTorch", 2020,
https://github.com/toshas/torch-fidelity.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.machine import cache_root
from genlab.metrics.features import FeatureNet

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # as in torch.hub, the name ends with part of the SHA-256
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{WEIGHTS}"
FOLDER = "genlab-nets"


def inception(root: Path, device: torch.device | str = "cpu") -> FeatureNet:
    """Returns the net with the weights that `weights_file` finds.

    Raises:
        UserError: torch-fidelity is not installed, or the weights are absent or damaged.
    """
    try:
        from torch_fidelity import FeatureExtractorInceptionV3  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            "feature net inception: torch-fidelity is not installed; pip install torch-fidelity, or use "
            "the feature net classifier"
        ) from None
    path = weights_file(Path(root))
    extractor = FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    return FeatureNet("inception(torch-fidelity)", Inception(extractor).to(device), chunk=50)


def weights_file(root: Path) -> Path:
    """Returns the path of WEIGHTS in `root`/genlab-nets, in genlab's cache folder, or in that of torch.hub.

    torch-fidelity unpickles the file without restrictions, so only the published bytes are accepted.

    Raises:
        UserError: the file is in none of these folders, or is not the published one.
    """
    folders = (root / FOLDER, cache_root() / FOLDER, Path(torch.hub.get_dir()) / "checkpoints")
    for folder in folders:
        path = folder / WEIGHTS
        if path.is_file():
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not digest.startswith(path.stem.rpartition("-")[2]):
                raise UserError(f"feature net inception: {path} is damaged; replace it by the file {URL}")
            return path
    raise UserError(f"feature net inception: no weights; put the file {URL} into {folders[0]}, or use classifier")


class Inception(nn.Module):
    """The Inception net: images (B, C, H, W) in [0, 1], C = 1 or 3 -> features (B, 2048), logits (B, 1008)."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pixels = x.mul(255).round().clamp(0, 255).to(torch.uint8)
        features, logits = self.extractor(pixels.expand(-1, 3, -1, -1))
        return features, logits
