"""Base class of the judges: prepares real samples once, takes measures one by one, and computes floor and noise."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor

from genlab.data.base import Dataset
from genlab.metrics.attempts import Reasons, attempt, attempt_all
from genlab.metrics.features import FeatureNet

Values = dict[str, float]
Parts = dict[str, Callable[[], Mapping[str, float]]]  # measures computed together; a failure is recorded under the key


class Judge:
    """A judge that compares samples in data units with the first `n` real samples of a split.

    Columns of a table are standardised first. Subclasses define the measures in `parts`. Nothing here draws from
    torch's global generator.

    Args:
        net: feature net for comparing images; with None, only measures that need no net are taken.
        reasons: collects, by name, why a measure failed while the others go on; with None, the exception is raised.
        quick: take only the measures that are cheap enough for the training loop, under their logged names `eval/...`.
    """

    by_features: ClassVar[bool] = False  # whether features of a net are compared
    held_out: ClassVar[tuple[str, ...]] = ()  # parts whose floor is that of held-out samples instead of training ones
    quick_samples: ClassVar[int]  # number of samples that the quick form uses
    quick_parts: ClassVar[Mapping[str, tuple[str, ...]]]  # parts of the quick form, with the measures to keep; (): all

    def __init__(
        self,
        data: Dataset,
        split: str,
        n: int,
        net: FeatureNet | None = None,
        reasons: Reasons | None = None,
        quick: bool = False,
    ) -> None:
        self.data, self.split, self.reasons, self.quick = data, split, reasons, quick
        self.prefix = "eval/" if quick else ""
        self.real = self.view(data.real(split, n))
        self.prepare(net)

    def view(self, samples: Tensor) -> Tensor:
        """Returns samples in data units as the measures take them."""
        return self.data.spec.standardise(samples)

    def prepare(self, net: FeatureNet | None) -> None:
        """Computes once what the measures need from the real samples."""

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        """Returns the applicable measures of samples (N, *shape) whose columns are standardised.

        Args:
            labels: (N,) the requested classes of the samples.
        """
        raise NotImplementedError

    def noise(self, n: int) -> Tensor:
        """Returns samples that reflect next to nothing of the data, in data units: (n, *shape)."""
        raise NotImplementedError

    def columns(self, samples: Tensor) -> Values:
        """Returns how far each column, channel of series or attribute of graphs is from the real one, worst first."""
        return {}

    def notes(self, n: int) -> list[str]:
        """Returns lines on how to read the measures of n samples."""
        return []

    def protocol(self, samples: Tensor, repeats: int) -> tuple[Values, Values]:
        """Returns scores in the form in which papers report them, of samples and of the training data.

        Raises:
            ValueError: there are none for data of this kind.
        """
        raise ValueError("papers agree on no protocol for data of this kind")

    def __call__(self, samples: Tensor, labels: Tensor | None = None) -> Values:
        """Returns the measures of samples (N, *shape) in data units, by name.

        Args:
            labels: (N,) the requested classes of the samples.
        """
        return self._all(samples, labels, self.reasons)

    def calibration(self, n: int) -> tuple[Values, Values]:
        """Returns the same measures of the first `n` real training samples (the floor) and of n samples of noise.

        The floor of the parts in `held_out` is that of the other held-out split. A measure that fails is missing; the
        reason is not recorded.
        """
        reasons: Reasons | None = None if self.reasons is None else {}
        floor = attempt("floor", lambda: self._all(self.data.real("train", n), None, reasons), reasons)
        noise = attempt("noise", lambda: self._all(self.noise(n), None, reasons), reasons)
        floor, noise = floor or {}, noise or {}
        if self.held_out and not self.quick:
            other = self.data.real("validation" if self.split == "test" else "test", n)
            parts = self.parts(self.view(other), None, reasons)
            floor |= attempt_all({name: parts[name] for name in self.held_out if name in parts}, reasons)
        return floor, noise

    def _all(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Values:
        parts = self.parts(self.view(samples), labels, reasons)
        if self.quick:
            parts = {name: _only(kept, parts[name]) for name, kept in self.quick_parts.items() if name in parts}
        values = attempt_all({f"{self.prefix}{name}": part for name, part in parts.items()}, reasons)
        return {f"{self.prefix}{name}": value for name, value in values.items()}


def _only(names: tuple[str, ...], part: Callable[[], Mapping[str, float]]) -> Callable[[], Values]:
    """Returns a part that keeps only the measures in `names`; () keeps all."""
    return lambda: {name: value for name, value in part().items() if name in names or not names}
