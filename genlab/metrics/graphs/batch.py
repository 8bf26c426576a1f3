"""Graphs as measures read them: matrices whose first rows are the nodes that are there."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.data.fields import Field
from genlab.data.spec import Spec
from genlab.metrics.tables.rows import Rows

CHUNK = 1000  # graphs that are read at once: their numbers take several times the memory of the result


class Attribute(NamedTuple):
    """What is known about every node, or about every edge: one of a few labels, or a number."""

    name: str
    values: np.ndarray  # (G, N) of nodes or (G, N, N) of edges: places in `labels`, or numbers; 0 for what is absent
    labels: tuple[str, ...] = ()  # of a category; () for numbers


@dataclass(frozen=True)
class GraphBatch:
    """G undirected graphs of up to N nodes. The nodes of a graph are 0, ..., size - 1."""

    sizes: np.ndarray  # (G,) int64
    adjacency: np.ndarray  # (G, N, N) bool, symmetric, False on the diagonal
    node: tuple[Attribute, ...] = ()
    edge: tuple[Attribute, ...] = ()

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, places: slice | np.ndarray) -> "GraphBatch":
        """The graphs at `places`."""
        node, edge = (tuple(a._replace(values=a.values[places]) for a in part) for part in (self.node, self.edge))
        return replace(self, sizes=self.sizes[places], adjacency=self.adjacency[places], node=node, edge=edge)

    @property
    def here(self) -> np.ndarray:
        """(G, N) bool: which rows are nodes."""
        return np.arange(self.adjacency.shape[1]) < self.sizes[:, None]

    @property
    def edge_counts(self) -> np.ndarray:
        """(G,) int64: the number of edges of each graph."""
        return self.adjacency.sum((1, 2)) // 2

    def rows(self, part: str) -> Rows:
        """The attributes of all nodes or of all edges (`part`: "node" or "edge") as rows of a table."""
        attributes = self.node if part == "node" else self.edge
        mask = self.here if part == "node" else np.triu(self.adjacency, 1)
        values = [attribute.values[mask].astype(np.float64) for attribute in attributes]
        names = tuple(attribute.name for attribute in attributes)
        words = tuple(len(attribute.labels) for attribute in attributes)
        return Rows(np.stack(values, axis=1) if values else np.zeros((int(mask.sum()), 0)), names, words)


def links(spec: Spec) -> Field | None:
    """The field that says which pairs are edges: the first category of pairs, whose first label is "no edge"."""
    return next((field for field in spec.fields if field.part == "edge" and field.kind == "category"), None)


def batch_of(spec: Spec, units: Tensor) -> GraphBatch:
    """Reads packed graphs (G, P) in data units.

    A node is there if it is marked present, and a pair is an edge if both of its nodes are there and its category is
    not the first one. Without a category of pairs there are no edges.
    """
    parts = [_read(spec, part) for part in units.detach().split(CHUNK)]
    if len(parts) == 1:
        return parts[0]

    def whole(of_parts: list[tuple[Attribute, ...]]) -> tuple[Attribute, ...]:
        return tuple(
            same[0]._replace(values=np.concatenate([a.values for a in same])) for same in zip(*of_parts, strict=True)
        )

    return GraphBatch(
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.adjacency for part in parts]),
        whole([part.node for part in parts]),
        whole([part.edge for part in parts]),
    )


def _read(spec: Spec, units: Tensor) -> GraphBatch:
    units, nodes = units.cpu(), spec.nodes
    found: dict[Field, np.ndarray] = {}
    for field, group in zip(spec.fields, spec.groups, strict=True):
        part = group.of(units).unflatten(1, (field.size, -1)) if group.places == 1 else group.of(units)
        found[field] = (part.argmax(1) if field.kind == "category" else part[:, 0]).numpy()
    present = next((found[field] for field in spec.fields if field.kind == "present"), None)
    here = np.ones((len(units), nodes), bool) if present is None else present > 0.5
    order = np.argsort(~here, axis=1, kind="stable")  # those that are there first
    size = here.sum(1)
    here = np.arange(nodes) < size[:, None]
    link = links(spec)
    adjacency = np.zeros((len(units), nodes, nodes), bool)
    if link is not None:
        adjacency = _square(found[link] > 0, order) & here[:, :, None] & here[:, None]
    node, edge = [], []
    for field, values in found.items():
        if field.kind == "present":
            continue
        kind = np.int16 if field.kind == "category" else np.float32
        if field.part == "node":
            node.append(Attribute(field.name, np.take_along_axis(values, order, 1).astype(kind) * here, _words(field)))
        elif field is link:
            if field.size > 2:  # edges of several kinds
                kinds = _square(np.maximum(values - 1, 0).astype(kind), order) * adjacency
                edge.append(Attribute(field.name, kinds, _words(field)[1:]))
        else:
            edge.append(Attribute(field.name, _square(values.astype(kind), order) * adjacency, _words(field)))
    return GraphBatch(size.astype(np.int64), adjacency, tuple(node), tuple(edge))


def _words(field: Field) -> tuple[str, ...]:
    if field.kind != "category":
        return ()
    return field.labels or tuple(str(k) for k in range(field.size))


def _square(pairs: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Values of pairs i < j, (G, M), as symmetric matrices (G, N, N) whose rows and columns are taken in `order`."""
    nodes = order.shape[1]
    i, j = torch.triu_indices(nodes, nodes, 1).numpy()
    full = np.zeros((len(pairs), nodes, nodes), pairs.dtype)
    full[:, i, j] = full[:, j, i] = pairs
    return np.take_along_axis(np.take_along_axis(full, order[:, :, None], 1), order[:, None], 2)
