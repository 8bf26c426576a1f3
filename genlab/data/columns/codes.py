"""How a model sees a number: as the normal score of its rank, scaled, or as a mode and the place within it.

    quantile  z = Φ⁻¹(F(v))                                        any column looks normal (`quantiles`)
    standard  z = (v - m) / s                                      its shape stays
    minmax    z = (v - min) / (max - min)                          its shape stays, within [0, 1]
    modes     k ~ P(mode | v) of a mixture of up to ten normals, one channel for each, and z = (v - m_k) / (4 s_k)

The last is the mode-specific normalisation of CTGAN (L. Xu et al., "Modeling Tabular data using Conditional GAN",
2019, https://arxiv.org/abs/1907.00503, section 4.2).
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genlab.data.columns.quantiles import SMALLEST, Quantiles
from genlab.data.fields import Field, numeric
from genlab.errors import UserError

MODES = 10  # at most, as in CTGAN
LEAST = 0.005  # weight of a mode that is kept, as in CTGAN
REACH = 4.0  # deviations of a mode that x = 1 stands for
FITTED = 20_000  # rows that the mixture is fitted on


class Code(ABC):
    """A code of numbers, fitted on the training rows."""

    name: ClassVar[str]  # the word in data.numeric

    def fields(self, column: str) -> tuple[Field, ...]:
        """What its channels mean; the first is the number."""
        return (numeric(column, 0.0, 1.0),)

    @abstractmethod
    def encode(self, v: Tensor, noise: Tensor | None) -> Tensor:
        """Numbers (B,) float64 -> channels (B, width) float64; noise (B,) in [0, 1) settles what is drawn."""

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Channels (B, width) -> numbers (B,) float64."""

    def state(self) -> list[Any]:
        """Returns the arguments of the constructor, less the quantiles."""
        return []


class QuantileCode(Code):
    """Normal scores of ranks."""

    name: ClassVar[str] = "quantile"

    def __init__(self, quantiles: Quantiles) -> None:
        self.quantiles = quantiles

    @classmethod
    def fit(cls, quantiles: Quantiles, values: np.ndarray) -> "QuantileCode":
        return cls(quantiles)

    def encode(self, v: Tensor, noise: Tensor | None) -> Tensor:
        return self.quantiles.scores(v, noise)[:, None]

    def decode(self, x: Tensor) -> Tensor:
        return self.quantiles.from_scores(x[:, 0])


class StandardCode(Code):
    """Numbers less their mean, over their deviation."""

    name: ClassVar[str] = "standard"

    def __init__(self, quantiles: Quantiles, mean: float, deviation: float) -> None:
        self.mean, self.deviation = mean, deviation

    @classmethod
    def fit(cls, quantiles: Quantiles, values: np.ndarray) -> "StandardCode":
        return cls(quantiles, float(values.mean()), float(values.std()) or 1.0)

    def encode(self, v: Tensor, noise: Tensor | None) -> Tensor:
        return ((v - self.mean) / self.deviation)[:, None]

    def decode(self, x: Tensor) -> Tensor:
        return x[:, 0].double() * self.deviation + self.mean

    def state(self) -> list[Any]:
        return [self.mean, self.deviation]


class MinMaxCode(Code):
    """Numbers scaled so that the training values fill [0, 1]; other values may lie outside."""

    name: ClassVar[str] = "minmax"

    def __init__(self, quantiles: Quantiles, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def fit(cls, quantiles: Quantiles, values: np.ndarray) -> "MinMaxCode":
        low, high = float(values.min()), float(values.max())
        return cls(quantiles, low, high if high > low else low + 1.0)

    def encode(self, v: Tensor, noise: Tensor | None) -> Tensor:
        return ((v - self.low) / (self.high - self.low))[:, None]

    def decode(self, x: Tensor) -> Tensor:
        return x[:, 0].double() * (self.high - self.low) + self.low

    def state(self) -> list[Any]:
        return [self.low, self.high]


class ModesCode(Code):
    """A mode of a mixture of normals, and the place within it."""

    name: ClassVar[str] = "modes"

    def __init__(self, quantiles: Quantiles, weights: list[float], means: list[float], deviations: list[float]) -> None:
        self.lists = [list(map(float, numbers)) for numbers in (weights, means, deviations)]
        self.weights, self.means, self.deviations = (torch.tensor(n, dtype=torch.float64) for n in self.lists)

    @classmethod
    def fit(cls, quantiles: Quantiles, values: np.ndarray) -> "ModesCode":
        """Fits the variational mixture that CTGAN takes.

        Raises:
            UserError: scikit-learn is not installed.
        """
        try:
            from sklearn.mixture import BayesianGaussianMixture
        except ImportError as error:
            raise UserError("data.numeric=modes needs scikit-learn: pip install 'genlab[tables]'") from error
        kept = values[:: math.ceil(len(values) / FITTED)]
        low, scale = float(kept.mean()), float(kept.std()) or 1.0
        mixture: Any = BayesianGaussianMixture(
            n_components=min(MODES, len(kept)),
            weight_concentration_prior_type="dirichlet_process",
            weight_concentration_prior=0.001,
            random_state=0,
            max_iter=200,
        )
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mixture that has not converged serves as well
            mixture.fit(((kept - low) / scale)[:, None])
        good = mixture.weights_ >= LEAST
        means = mixture.means_[good, 0] * scale + low
        deviations = np.sqrt(mixture.covariances_[good, 0, 0]) * scale
        return cls(quantiles, mixture.weights_[good].tolist(), means.tolist(), deviations.tolist())

    def fields(self, column: str) -> tuple[Field, ...]:
        names = tuple(f"near {mean:.4g}" for mean in self.lists[1])
        return *super().fields(column), Field(f"{column} mode", "category", len(names), labels=names)

    def encode(self, v: Tensor, noise: Tensor | None) -> Tensor:
        means, deviations, weights = (n.to(v.device) for n in (self.means, self.deviations, self.weights))
        z = (v[:, None] - means) / deviations
        shares = (weights.log() - deviations.log() - 0.5 * z.square()).softmax(1)
        k = shares.argmax(1)
        if noise is not None:
            k = (shares.cumsum(1) < noise[:, None]).sum(1).clamp(max=len(means) - 1)
        place = z.gather(1, k[:, None]) / REACH
        return torch.cat([place, one_hot(k, len(means)).double()], dim=1)

    def decode(self, x: Tensor) -> Tensor:
        k = x[:, 1:].argmax(1)
        return self.means.to(x.device)[k] + REACH * self.deviations.to(x.device)[k] * x[:, 0].double()

    def state(self) -> list[Any]:
        return self.lists


CODES: dict[str, Any] = {code.name: code for code in (QuantileCode, StandardCode, MinMaxCode, ModesCode)}


def ranks(quantiles: Quantiles, code: Code, x: Tensor) -> Tensor:
    """The ranks F(v) in [0, 1] of what a model sees: (B, width) -> (B,) float64."""
    return torch.special.ndtr(x[:, 0].double()) if code.name == "quantile" else quantiles.ranks(code.decode(x))


def from_ranks(quantiles: Quantiles, code: Code, u: Tensor) -> Tensor:
    """What a model sees of values of these ranks: (B,) float64 -> (B, width) float64."""
    if code.name == "quantile":
        return torch.special.ndtri(u.clamp(SMALLEST, 1 - SMALLEST))[:, None]
    return code.encode(quantiles.at(u), None)
