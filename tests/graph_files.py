"""Small graphs and molecules for tests, and files of them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data.graphs.graph import Attribute, Graphs, from_pairs, to_networkx
from genlab.data.graphs.packing import fields_of
from genlab.data.graphs.source import GraphSource
from genlab.data.graphs.write import SUFFIXES, written
from genlab.data.spec import Spec

SMILES = [
    "CCO",
    "c1ccccc1",
    "c1cc[nH]c1",
    "C[N+](C)(C)C",
    "[O-]C(=O)C",
    "CC#N",
    "OC(=O)c1ccccc1N",
    "CS(=O)(=O)C",
    "CCBr",
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(n: int = 30, seed: int = 0, classes: bool = True) -> Graphs:
    """Random graphs of 3 to 6 nodes with two categories and numbers, all connected by a path."""
    g = rng(seed)
    sizes = g.integers(3, 7, n)
    i, j = np.triu_indices(6, 1)
    here = ((g.random((n, 15)) < 0.3) | (j == i + 1)) & (j < sizes[:, None])
    graphs = from_pairs(here, sizes)
    nodes, edges = int(sizes.sum()), len(graphs.edges)
    return graphs._replace(
        node=(
            Attribute("colour", np.arange(nodes) % 2, ("blue", "red")),
            Attribute("size", g.normal(100, 5, nodes).round(2)),
        ),
        edge=(
            Attribute("bond", g.integers(0, 3, edges), ("a", "b", "c")),
            Attribute("length", g.normal(1, 0.1, edges).round(3)),
        ),
        labels=[("cat", "dog")[k % 2] for k in range(n)] if classes else None,
    )


def plain(graphs: Graphs) -> list[tuple[Any, ...]]:
    """All that is known of each graph, in a form that can be compared."""
    return [
        (
            dict(graph.graph),
            sorted(graph.nodes(data=True)),
            sorted((*sorted(e[:2]), e[2]) for e in graph.edges(data=True)),
        )
        for graph in to_networkx(graphs)
    ]


def spec_of(graphs: Graphs, nodes: int, **options: Any) -> Spec:
    return Spec((), fields=fields_of(graphs), nodes=nodes, **options)


def save(graphs: Graphs, folder: Path, source: GraphSource) -> Path:
    content, _ = written(graphs, source, 6)
    path = folder / f"graphs{SUFFIXES[source.format]}"
    path.write_bytes(content)
    return path


def table(path: Path, rows: list[str], **columns: list[str]) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *columns, "smiles"])
        writer.writerows([str(k), *(cells[k] for cells in columns.values()), row] for k, row in enumerate(rows))
    return str(path)
