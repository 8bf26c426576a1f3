"""Samples of graphs and molecules as files in the source's format."""

from pathlib import Path
from typing import Any

from torch import Tensor

from genlab.data.graphs.packing import unpack_graphs
from genlab.data.graphs.writing import suffix, written
from genlab.runs.files import write_atomically
from genlab.runs.folder import Run


def write(model: Any, arrays: dict[str, Tensor], target: Run) -> tuple[list[Path], list[str]]:
    """Writes packed graphs in data units: samples, originals and cycles, a file each.

    Returns:
        The files, and lines on what they do not show, such as how many molecules are invalid.

    Raises:
        OSError: a file cannot be written.
    """
    spec, paths, lines = model.spec, [], []
    for name, units in arrays.items():
        if name == "labels":
            continue
        graphs = unpack_graphs(units, spec)
        if "labels" in arrays and name == "samples":
            graphs = graphs._replace(labels=[spec.class_name(k) for k in arrays["labels"].tolist()])
        content, more = written(graphs, spec.source, spec.nodes)
        paths.append(target.folder / f"{name}{suffix(spec.source)}")
        write_atomically(paths[-1], content)
        lines += [f"{paths[-1].name}: {line}" for line in more]
    return paths, lines
