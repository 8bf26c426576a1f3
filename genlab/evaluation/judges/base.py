"""What judges of all kinds of data share: real samples once, measures one by one, the floor and noise beside them."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor

from genlab.data.base import Dataset
from genlab.metrics.attempts import Reasons, attempt, attempt_all
from genlab.metrics.features import FeatureNet

Values = dict[str, float]
Parts = dict[str, Callable[[], Mapping[str, float]]]  # measures that are computed together, by the name of a reason


class Judge:
    """Measures of samples in data units against the first `n` real samples of a split; columns of a table standardised.

    Subclasses have the measures, `parts`. Nothing here draws from torch's global generator.

    Args:
        net: whose features images are compared by; None leaves only what needs none.
        reasons: takes in, by name, why a measure cannot be had, and the others go on; None raises.
        quick: take the measures alone that are cheap enough for the training loop, named as it logs them, `eval/...`.
    """

    by_features: ClassVar[bool] = False  # whether a net's features are compared
    quick_samples: ClassVar[int]  # that the quick form is worth
    quick_parts: ClassVar[Mapping[str, tuple[str, ...]]]  # of the quick form, each with the measures kept; (): all

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
        self.real = data.spec.standardise(data.real(split, n))
        self.prepare(net)

    def prepare(self, net: FeatureNet | None) -> None:
        """Compute once what the measures need of the real side."""

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        """The measures that fit, of samples (N, *shape) with columns standardised and the classes (N,) asked for."""
        raise NotImplementedError

    def noise(self, n: int) -> Tensor:
        """What knows next to nothing of the data draws, in data units: (n, *shape)."""
        raise NotImplementedError

    def columns(self, samples: Tensor) -> Values:
        """How far each column of a table is from the real one, the worst first; {} of anything else."""
        return {}

    def __call__(self, samples: Tensor, labels: Tensor | None = None) -> Values:
        """Values by name, of samples (N, *shape) in data units.

        Args:
            labels: (N,) the classes that the samples were asked to be of.
        """
        return self._all(samples, labels, self.reasons)

    def calibration(self, n: int) -> tuple[Values, Values]:
        """The same of the first `n` real training samples, the floor, and of n draws of noise.

        What cannot be had of them is missing, without a reason of its own.
        """
        reasons: Reasons | None = None if self.reasons is None else {}
        floor = attempt("floor", lambda: self._all(self.data.real("train", n), None, reasons), reasons)
        noise = attempt("noise", lambda: self._all(self.noise(n), None, reasons), reasons)
        return floor or {}, noise or {}

    def _all(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Values:
        parts = self.parts(self.data.spec.standardise(samples), labels, reasons)
        if self.quick:
            parts = {name: _only(kept, parts[name]) for name, kept in self.quick_parts.items() if name in parts}
        values = attempt_all({f"{self.prefix}{name}": part for name, part in parts.items()}, reasons)
        return {f"{self.prefix}{name}": value for name, value in values.items()}


def _only(names: tuple[str, ...], part: Callable[[], Mapping[str, float]]) -> Callable[[], Values]:
    """A part without all measures but `names`; () keeps all."""
    return lambda: {name: value for name, value in part().items() if name in names or not names}
