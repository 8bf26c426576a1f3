"""Files of samples in the format of the source that a model learned from: series and graphs, by the source's kind."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from torch import Tensor

from genlab.data.graphs.source import GraphSource
from genlab.data.spec import Spec

Chunk = tuple[Tensor, Tensor | None]  # samples in units (B, *shape), and their classes (B,), if the model draws any


def suffix(spec: Spec) -> str:
    """The ending of a file of samples."""
    return _writer(spec).suffix(spec)


def write(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    """Writes samples; returns their number. An older file of that name stays until all are written.

    Raises:
        OSError: the file cannot be written.
    """
    return _writer(spec).write(path, spec, chunks)


def read(path: Path, spec: Spec) -> Tensor | None:
    """Reads samples in units, (N, *shape), from a file like the source; None for an array of another form.

    Raises:
        UserError: the file is damaged, or its samples are none of this kind.
    """
    from genlab.data.graphs import given as graphs
    from genlab.data.series import given as series

    return (graphs if isinstance(spec.source, GraphSource) else series).of_file(path, spec)


def _writer(spec: Spec) -> ModuleType:
    from genlab.data.graphs import write as graphs
    from genlab.data.series import write as series

    return graphs if isinstance(spec.source, GraphSource) else series
