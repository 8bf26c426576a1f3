"""Places series in the plane, so that real and generated ones can be compared by eye."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def principal_plane(clouds: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The first two principal components of the first cloud, of all clouds (N, C, T): (N, 2) each.

    Channels are standardised by the first cloud; NaN counts as its mean.
    """
    flat = _standardised(clouds)
    first = next(iter(flat.values()))
    centre = first.mean(0)
    _, _, axes = np.linalg.svd(first - centre, full_matrices=False)
    plane = np.zeros((2, first.shape[1]))
    plane[: len(axes)] = axes[:2]
    return {name: (x - centre) @ plane.T for name, x in flat.items()}


def tsne_plane(clouds: Mapping[str, Tensor], seed: int = 0) -> dict[str, np.ndarray] | None:
    """The t-SNE of all clouds (N, C, T) together: (N, 2) each; None without scikit-learn or for few series.

    L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", 2008, https://jmlr.org/papers/v9/vandermaaten08a.html.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return None
    flat = _standardised(clouds)
    points = np.concatenate(list(flat.values()))
    perplexity = min(30.0, len(points) / 4)
    if perplexity < 2:
        return None
    placed = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
    ends = np.cumsum([len(x) for x in flat.values()])[:-1]
    return dict(zip(flat, np.split(placed, ends), strict=True))


def _standardised(clouds: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    first = next(iter(clouds.values())).double()
    mean = first.nanmean((0, 2), keepdim=True).nan_to_num(0.0)
    deviation = (first - mean).square().nanmean((0, 2), keepdim=True).nan_to_num(0.0).sqrt()
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return {name: ((x.double() - mean) / deviation).nan_to_num(0.0).flatten(1).numpy() for name, x in clouds.items()}
