"""Judges graphs: degrees, clustering, orbits and spectra, sizes, attributes, isomorphism classes; molecules as well."""

from typing import ClassVar

from torch import Tensor

from genlab.evaluation.judges.base import Judge, Parts, Values
from genlab.metrics.attempts import Reasons
from genlab.metrics.graphs.batch import batch_of
from genlab.metrics.graphs.noise import erdos_renyi
from genlab.metrics.graphs.reference import Reference
from genlab.metrics.graphs.topology import attributes

TRAIN = 20_000  # most training graphs among which samples are searched


class GraphJudge(Judge):
    """A judge of packed graphs (N, P) in data units, see `Judge`.

    The quick form compares at most 200 graphs with the papers' older kernel and needs neither networkx nor training
    graphs. The bias of an MMD falls with the number of graphs: compare it within one run, not with that of a report.
    """

    held_out: ClassVar = ("isomorphism", "classes", "valid_novel")  # training graphs are their own copies
    quick_samples = 200
    quick_parts: ClassVar = {
        "degree": ("degree_mmd",),
        "clustering": ("clustering_mmd",),
        "orbit": ("orbit_mmd",),
        "spectrum": ("spectrum_mmd",),
        "mean_mmd": (),
        "connected": (),
        "sizes": ("nodes_ks", "edges_ks"),
        "attributes": (),
        "validity": ("valid",),
    }

    def view(self, samples: Tensor) -> Tensor:
        return samples

    def prepare(self, net: object) -> None:
        train = self.data.real("train", 1 if self.quick else TRAIN)
        self.reference = Reference(self.data.spec, self.real, train, self.data.known_graphs)

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        return self.reference.parts(samples)

    def noise(self, n: int) -> Tensor:
        """Returns Erdős-Rényi graphs of the sizes and densities of training graphs: (n, P)."""
        return erdos_renyi(self.data.spec, self.data.real("train", TRAIN), n)

    def columns(self, samples: Tensor) -> Values:
        """Returns the distance of each attribute of nodes and edges from the real one, worst first."""
        return attributes(batch_of(self.data.spec, samples), self.reference.real)

    def notes(self, n: int) -> list[str]:
        return [self.reference.note(n)]
