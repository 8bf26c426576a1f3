"""How far a translation is from the true one, and a round trip from where it began.

With G: a -> b, F: b -> a and the true map T, both in data units:

    translation error   E d(G(x), T(x))
    cycle error         E d(F(G(x)), x)
    label preservation  share of x whose translation a classifier still takes for the class of x

where d is the Euclidean distance for points, and the mean absolute difference of the pixels, in [0, 1], for images.
A small cycle error alone says little: the identity has none.
"""

from torch import Tensor

from genlab.metrics.measure import Measure
from genlab.metrics.wasserstein import sliced_w2


def mean_distance(x: Tensor, y: Tensor) -> float:
    """E d(x, y) over N pairs: points (N, D), or images (N, C, H, W).

    Raises:
        ValueError: the shapes differ.
    """
    if x.shape != y.shape:
        raise ValueError(f"different shapes {tuple(x.shape)} and {tuple(y.shape)}")
    difference = (x.double() - y.double()).abs()
    return (difference.mean() if x.dim() == 4 else difference.flatten(1).norm(dim=1).mean()).item()


def translation(x: Tensor, there: Tensor, back: Tensor, b: Tensor, truth: Tensor | None) -> dict[str, float]:
    """The measures of a translation a -> b -> a that are cheap enough for the training loop, in data units.

    Args:
        x, there, back: samples of a, G(x) and F(G(x)), (N, *shape).
        b: (N, *shape) real samples of the other domain, unrelated to x.
        truth: T(x) where it is known; `eval/identity_error` is then what G(x) = x would have got.
    """
    values = {"eval/sliced_w2": sliced_w2(there, b), "eval/cycle_error": mean_distance(back, x)}
    if truth is not None:
        values["eval/translation_error"] = mean_distance(there, truth)
        values["eval/identity_error"] = mean_distance(x, truth)
    return values


def label_preservation(predicted: Tensor, true: Tensor) -> float:
    """Share of translations of the class that their source has, in [0, 1].

    Args:
        predicted: (N,) classes that a classifier of the target domain sees in the translations.
        true: (N,) classes of their sources.

    Raises:
        ValueError: the shapes differ, or there are none.
    """
    if predicted.shape != true.shape or predicted.numel() == 0:
        raise ValueError(f"no labels in pairs: {tuple(predicted.shape)} and {tuple(true.shape)}")
    return (predicted == true).double().mean().item()


MEASURES = (
    Measure("translation_error", "distance of a translation from the true one", "min", "data units"),
    Measure("identity_error", "translation_error of doing nothing", "", "data units"),
    Measure("cycle_error", "distance of a round trip from where it began", "min", "data units"),
    Measure("label_preservation", "share of translations that keep their class", "max"),
)
