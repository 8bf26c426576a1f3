"""Writes the latent space for TensorBoard's Projector: codes of validation samples with labels and thumbnails.

TensorBoard reads plain files: `projector_config.pbtxt` in the run folder names the ones in `projector/`. They are
overwritten each time, so they show the latest state and take only a few MiB.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genlab.data.base import Dataset
from genlab.models.base import Codec, Family
from genlab.plots.drawers import DRAWERS

SHOWN = 1000  # number of samples
DIMENSIONS = 64  # longer codes are reduced to this many principal components
THUMBNAIL = 32  # largest side in pixels


@torch.no_grad()
def write_codes(folder: Path, family: Family, data: Dataset) -> bool:
    """Writes the codes of the first validation samples to a run folder; returns False if the family has no encoder."""
    if not isinstance(family, Codec) or "x" not in (batch := data.head("validation", SHOWN)):
        return False
    from google.protobuf import text_format
    from PIL import Image
    from tensorboard.plugins.projector import ProjectorConfig  # pyright: ignore[reportAttributeAccessIssue]

    target = folder / "projector"
    target.mkdir(exist_ok=True)
    codes = principal(torch.cat([family.encode(part).float() for part in batch["x"].split(100)]).flatten(1))
    np.savetxt(target / "codes.tsv", codes.cpu().numpy(), fmt="%.5g", delimiter="\t")
    config = ProjectorConfig()
    embedding = config.embeddings.add(tensor_name="latent space", tensor_path="projector/codes.tsv")
    if "y" in batch:  # TensorBoard expects no header in a table with one column
        lines = "".join(f"{label}\n" for label in batch["y"].tolist())
        (target / "labels.tsv").write_text(lines, encoding="utf-8")
        embedding.metadata_path = "projector/labels.tsv"
    if DRAWERS[data.spec.layout].blends:
        picture, size = sprite(data.real("validation", SHOWN))
        Image.fromarray(picture).save(target / "sprite.png")
        embedding.sprite.image_path = "projector/sprite.png"
        embedding.sprite.single_image_dim.extend(size)
    (folder / "projector_config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
    return True


def principal(codes: Tensor) -> Tensor:
    """Returns the codes (N, D), or their first principal components (N, DIMENSIONS) if D is larger than that."""
    if codes.shape[1] <= DIMENSIONS:
        return codes
    centered = codes - codes.mean(0)
    return centered @ torch.linalg.svd(centered, full_matrices=False).Vh[:DIMENSIONS].T


def sprite(images: Tensor) -> tuple[np.ndarray, tuple[int, int]]:
    """Returns images (N, C, H, W) in [0, 1] as a sheet (S, T, 3) uint8, row by row, and the (width, height) of one."""
    n, _, height, width = images.shape
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    small = images if scale == 1 else interpolate(images, size, mode="area")
    pixels = small.clamp(0, 1).mul(255).round().byte().expand(n, 3, *size).permute(0, 2, 3, 1).cpu().numpy()
    columns = math.ceil(math.sqrt(n))
    sheet = np.zeros((columns * size[0], columns * size[1], 3), np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * size[0], i % columns * size[1]
        sheet[top : top + size[0], left : left + size[1]] = image
    return sheet, (size[1], size[0])
