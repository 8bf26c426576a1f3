"""How far a translation is from the true one, and a round trip from its start.

With G: a -> b, F: b -> a and the true map T, both in data units:

    translation error   E d(G(x), T(x))
    cycle error         E d(F(G(x)), x)
    label preservation  share of x whose translation a classifier assigns to the class of x

where d is the Euclidean distance for points, and the mean absolute difference of the pixels, in [0, 1], for images.
A small cycle error alone says little: that of the identity is 0.
"""

from torch import Tensor

from genlab.metrics.measure import Measure
from genlab.metrics.wasserstein import sliced_w2


def mean_distance(x: Tensor, y: Tensor) -> float:
    """Returns the mean of d(x, y) over N pairs: points (N, D), or images (N, C, H, W).

    Raises:
        ValueError: the shapes differ.
    """
    if x.shape != y.shape:
        raise ValueError(f"shapes differ: {tuple(x.shape)} and {tuple(y.shape)}")
    difference = (x.double() - y.double()).abs()
    return (difference.mean() if x.dim() == 4 else difference.flatten(1).norm(dim=1).mean()).item()


def translation(x: Tensor, there: Tensor, back: Tensor, b: Tensor, truth: Tensor | None) -> dict[str, float]:
    """Returns the measures of a translation a -> b -> a that are cheap enough for training, in data units.

    Args:
        x, there, back: samples of a, G(x) and F(G(x)), (N, *shape).
        b: (N, *shape) real samples of the other domain, unrelated to x.
        truth: T(x), if known; `eval/identity_error` is then the error of G(x) = x.
    """
    values = {"eval/sliced_w2": sliced_w2(there, b), "eval/cycle_error": mean_distance(back, x)}
    if truth is not None:
        values["eval/translation_error"] = mean_distance(there, truth)
        values["eval/identity_error"] = mean_distance(x, truth)
    return values


def label_preservation(predicted: Tensor, true: Tensor) -> float:
    """Returns the share of translations that keep the class of their source, in [0, 1].

    Args:
        predicted: (N,) classes of the translations, by a classifier of the target domain.
        true: (N,) classes of their sources.

    Raises:
        ValueError: the shapes differ, or there are none.
    """
    if predicted.shape != true.shape or predicted.numel() == 0:
        raise ValueError(f"labels do not come in pairs: shapes {tuple(predicted.shape)} and {tuple(true.shape)}")
    return (predicted == true).double().mean().item()


MEASURES = (
    Measure("translation_error", "distance of a translation from the true one", "min", "data units"),
    Measure("identity_error", "translation_error of the identity map", "", "data units"),
    Measure("cycle_error", "distance of a round trip from its start", "min", "data units"),
    Measure("label_preservation", "share of translations that keep their class", "max"),
)
