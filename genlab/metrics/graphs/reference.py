"""Compares graphs and molecules with real ones: which measures apply, and what they need of the real ones."""

import math
from collections.abc import Callable, Mapping
from functools import cache, cached_property, partial

import numpy as np
from torch import Tensor

from genlab.data.packed import KnownGraphs
from genlab.data.spec import Spec
from genlab.metrics.graphs import isomorphism, molecules, topology
from genlab.metrics.graphs.batch import GraphBatch, batch_of
from genlab.metrics.graphs.descriptors import Descriptors
from genlab.metrics.graphs.kernels import STATISTICS, VARIANTS, Statistic, Variant, chance, mmd

Part = Callable[[], Mapping[str, float]]
COMPARED = 1000  # most graphs on each side of an MMD
NAMED = 10_000  # most samples that are searched for one another and for training graphs
PLANAR = 1000  # most graphs whose planarity is checked
REPEATED = 5  # times that a class must occur in training on average for its shares to be compared
ZERO = 1e-9  # an MMD up to which there is no ratio to it: trees have no triangles, so that of clustering is 0
SMALL = 0.02  # below which papers report mean MMDs


class Reference:
    """The real graphs that samples are compared with. Whatever a measure needs of them is computed when it is taken.

    Args:
        real, train: (M, P) held-out and (L, P) training graphs in data units.
        known: the true distribution, if it is known.
    """

    def __init__(self, spec: Spec, real: Tensor, train: Tensor, known: KnownGraphs | None = None) -> None:
        self.spec, self.known = spec, known
        self.molecular = molecules.molecular(spec)
        self._real, self._train = real, train
        # What the first n graphs are compared by, and the MMD between them.
        self.described = cache(lambda n: Descriptors(self.real.take(slice(n))))
        self.described_train = cache(lambda n: Descriptors(self.train.take(slice(n))))
        self.floor = cache(self._floor)

    @cached_property
    def real(self) -> GraphBatch:
        return batch_of(self.spec, self._real)

    @cached_property
    def train(self) -> GraphBatch:
        return batch_of(self.spec, self._train)

    def parts(self, units: Tensor) -> dict[str, Part]:
        """The measures of samples (K, P) in data units, by the name of a reason; those of one part come together."""
        batch = cache(lambda: batch_of(self.spec, units))
        n = min(len(units), len(self._real), COMPARED)
        described = cache(lambda: Descriptors(batch().take(slice(n))))

        @cache
        def score(statistic: Statistic, variant: Variant) -> float:
            return mmd(described(), self.described(n), statistic, variant)

        def ratio(statistic: Statistic, variant: Variant) -> float:
            return score(statistic, variant) / self.floor(n, statistic, variant)

        def both(statistic: Statistic) -> dict[str, float]:
            return {f"{statistic}{end}": score(statistic, variant) for variant, end in VARIANTS.items()}

        def ratios(statistic: Statistic) -> dict[str, float]:
            return {
                f"{statistic}{end}_ratio": ratio(statistic, variant)
                for variant, end in VARIANTS.items()
                if self.floor(n, statistic, variant) > ZERO
            }

        def mean_ratio() -> dict[str, float]:
            found = [ratio(name, "tv") for name in STATISTICS if self.floor(n, name, "tv") > ZERO]
            if not found:
                raise ValueError(f"the first {n} training graphs have the statistics of the held-out ones")
            return {"mean_ratio": _mean(found)}

        parts: dict[str, Part] = {name: partial(both, name) for name in STATISTICS}
        parts["mean_mmd"] = lambda: {"mean_mmd": _mean([score(name, "emd") for name in STATISTICS[:3]])}
        parts |= {f"{name}_ratio": partial(ratios, name) for name in STATISTICS}
        parts["mean_ratio"] = mean_ratio
        parts["connected"] = lambda: {"connected": _share(topology.connected(batch()))}
        parts["sizes"] = lambda: topology.size_measures(batch(), self.real)
        parts["attributes"] = lambda: topology.attribute_measures(batch(), self.real)
        if self.molecular:
            return parts | self.of_molecules(batch)
        parts["planar"] = lambda: (
            {"planar": _share(topology.planar(batch().take(slice(PLANAR))))} if self.all_planar else {}
        )
        parts["isomorphism"] = lambda: self.isomorphism(batch())
        parts["classes"] = lambda: self.classes(batch())
        return parts

    def of_molecules(self, batch: Callable[[], GraphBatch]) -> dict[str, Part]:
        """The measures that molecules have in addition, in place of those of isomorphism classes."""
        found = cache(lambda: molecules.valid(molecules.molecules(batch(), self.spec)))
        return {
            "validity": lambda: molecules.validity(found()),
            "valid_novel": lambda: molecules.valid_novel(found(), self.train_smiles),
            "properties": lambda: molecules.property_distances(found(), self.real_molecules),
            "internal_diversity": lambda: molecules.internal_diversity(found()),
        }

    def _floor(self, n: int, statistic: Statistic, variant: Variant) -> float:
        """The MMD of n training graphs.

        Raises:
            ValueError: there are fewer.
        """
        if len(self._train) < n:
            raise ValueError(f"needs as many training graphs as there are samples, {n}; there are {len(self._train)}")
        return mmd(self.described_train(n), self.described(n), statistic, variant)

    @cached_property
    def all_planar(self) -> bool:
        return topology.all_planar(self.train.take(slice(PLANAR)))

    @cached_property
    def train_smiles(self) -> list[str]:
        return molecules.valid(molecules.molecules(self.train, self.spec)).smiles

    @cached_property
    def real_molecules(self) -> molecules.Valid:
        few = self.real.take(slice(molecules.PROPERTIES))
        return molecules.valid(molecules.molecules(few, self.spec))

    @cached_property
    def trained(self) -> tuple[isomorphism.Classes, np.ndarray]:
        """The isomorphism classes of the training graphs, and how many graphs each has."""
        classes = isomorphism.Classes()
        return classes, np.bincount(classes.numbers(self.train), minlength=1)

    @cached_property
    def truth(self) -> tuple[isomorphism.Classes, np.ndarray] | None:
        """The known classes and their shares, or those of training if classes are few; None if they are not."""
        if self.known is None:
            classes, counts = self.trained
            return (classes, counts / counts.sum()) if counts.mean() >= REPEATED else None
        classes = isomorphism.Classes()
        numbers = classes.numbers(batch_of(self.spec, self.known.x))
        shares = np.bincount(numbers, self.known.shares.double().cpu().numpy())
        return classes, shares / shares.sum()

    def isomorphism(self, graphs: GraphBatch) -> dict[str, float]:
        """The shares of different and of new graphs."""
        classes, counts = self.trained
        return isomorphism.novelty(classes.numbers(graphs.take(slice(NAMED))), len(counts))

    def classes(self, graphs: GraphBatch) -> dict[str, float]:
        """The shares of isomorphism classes against the true ones; {} if these are not known."""
        if self.truth is None:
            return {}
        classes, shares = self.truth
        return isomorphism.class_measures(classes.numbers(graphs.take(slice(NAMED))), shares)

    def note(self, count: int) -> str:
        """Says what mean MMD `count` real graphs have by chance, and from how many graphs on a small one counts."""
        n = min(count, len(self._real), COMPARED)
        each = {name: chance(self.described(n), name, "emd") for name in STATISTICS[:3]}
        mean = _mean(list(each.values()))
        words = ", ".join(f"{name} {2 * value / n:.2g}" for name, value in each.items())
        enough = math.ceil(2 * mean / SMALL)
        small = f"values far below {SMALL} can still be bad"
        if enough > 2:
            small = f"values below {SMALL} are noise with fewer than {enough:,} graphs on each side"
        return (
            f"MMDs are biased: two sets of {n} real graphs have a mean_mmd of {2 * mean / n:.2g} by chance ({words}); "
            f"{small}, so read every statistic beside its floor (https://arxiv.org/abs/2106.01098)"
        )


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else math.nan
