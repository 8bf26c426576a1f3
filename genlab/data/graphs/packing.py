"""Packs graphs as the vectors that a model sees, and reads vectors back as graphs.

    field of     channels                              of an absent node or pair
    nodes        present: 1                            0
                 a category: one-hot                   0
                 a number: standardised                0
    pairs i < j  the edge: one-hot of "none", kinds    0
                 a number of edges: standardised,      0
                 0 where there is no edge

Numbers are standardised by the mean and the deviation of the training graphs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genlab.data.fields import Field
from genlab.data.graphs.graph import Attribute, Graphs
from genlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from genlab.data.spec import Spec

NO_EDGE, EDGE = "none", "edge"


def fields_of(train: Graphs) -> tuple[Field, ...]:
    """Returns the fields of graphs with the attributes of the training graphs."""
    kinds = train.kinds
    edge = Attribute(EDGE, np.zeros(0), (EDGE,)) if kinds is None else kinds
    return (
        Field("present", "present", part="node"),
        *(_field(attribute, "node") for attribute in train.node),
        Field(edge.name, "category", 1 + len(edge.labels), part="edge", labels=(NO_EDGE, *edge.labels)),
        *(_field(attribute, "edge") for attribute in train.edge if not attribute.labels),
    )


def _field(attribute: Attribute, part: str) -> Field:
    if attribute.labels:
        return Field(attribute.name, "category", len(attribute.labels), part=part, labels=attribute.labels)
    mean, deviation = float(attribute.values.mean()), float(attribute.values.std())
    return Field(attribute.name, "real", mean=mean, deviation=deviation, part=part)


def pack_graphs(graphs: Graphs, fields: Sequence[Field], nodes: int) -> Tensor:
    """Packs graphs of at most `nodes` nodes N: (G, P) float32, numbers standardised.

    Raises:
        UserError: a graph is larger, or has a label or lacks an attribute that the fields do not know.
    """
    if graphs.sizes.max(initial=0) > nodes:
        place = int(graphs.sizes.argmax())
        raise UserError(f"{graphs.name(place)} has {graphs.sizes[place]} nodes; at most {nodes} are allowed")
    pairs = nodes * (nodes - 1) // 2
    places = {"node": nodes, "edge": pairs}
    x = np.zeros((len(graphs.sizes), sum(field.size * places[field.part] for field in fields)), np.float32)
    here = np.arange(nodes) < graphs.sizes[:, None]
    row = np.repeat(np.arange(len(graphs.sizes)), graphs.sizes)
    node = np.arange(len(row)) - np.repeat(graphs.starts, graphs.sizes)
    edge_row, i, j = graphs.edges.T
    pair = i * (2 * nodes - i - 1) // 2 + j - i - 1
    start = 0
    for field in fields:
        count = places[field.part]
        if field.kind == "present":
            x[:, start : start + nodes] = here
        elif field.part == "node":
            values = _values(graphs.node, field)
            if field.kind == "category":
                x[row, start + values * count + node] = 1
            else:
                x[row, start + node] = (values - field.mean) / field.deviation
        elif field.kind == "category":
            first, second = np.triu_indices(nodes, 1)
            x[:, start : start + count] = here[:, first] & here[:, second]
            x[edge_row, start + pair] = 0
            values = _values(graphs.edge, field)
            x[edge_row, start + values * count + pair] = 1
        else:
            x[edge_row, start + pair] = (_values(graphs.edge, field) - field.mean) / field.deviation
        start += field.size * count
    return torch.from_numpy(x)


def _values(attributes: Sequence[Attribute], field: Field) -> np.ndarray:
    """The values of a field's attribute, as places in the labels of the field."""
    attribute = next((a for a in attributes if a.name == field.name), None)
    if attribute is None:
        if field.part == "edge" and field.labels == (NO_EDGE, EDGE):
            return np.ones((), np.int64)
        raise UserError(f"the graphs have no {field.part} attribute '{field.name}'")
    if bool(attribute.labels) != (field.kind == "category"):
        raise UserError(f"{field.part} attribute '{field.name}' must have {'labels' if field.labels else 'numbers'}")
    if field.kind != "category":
        return attribute.values
    for k in np.unique(attribute.values):
        if attribute.labels[k] not in field.labels:
            word = attribute.labels[k]
            near = did_you_mean(word, field.labels)
            raise UserError(f"{field.part} attribute '{field.name}': '{word}' is not known{near}")
    place = {word: k for k, word in enumerate(field.labels)}
    known = np.array([place.get(word, 0) for word in attribute.labels], np.int64)
    return known[attribute.values]


def unpack_graphs(units: Tensor, spec: "Spec") -> Graphs:
    """Reads packed graphs in data units, (G, P) as `Spec.decode` returns them, as graphs.

    A node is there if it is marked present, an edge if both ends are there and its category is not "none".
    """
    nodes = spec.nodes
    values = units.detach().cpu().numpy()
    blocks = {}
    start = 0
    for field in spec.fields:
        stop = start + spec.width(field)
        blocks[field] = values[:, start:stop].reshape(len(values), field.size, -1)
        start = stop
    here = next(blocks[field] for field in spec.fields if field.kind == "present")[:, 0] > 0.5
    number = np.cumsum(here, axis=1) - 1  # of a node among those that are there
    i, j = np.triu_indices(nodes, 1)
    main = next(field for field in spec.fields if field.part == "edge" and field.kind == "category")
    kind = blocks[main].argmax(1) * (here[:, i] & here[:, j])
    graph, pair = kind.nonzero()
    edges = np.column_stack([graph, number[graph, i[pair]], number[graph, j[pair]]]).astype(np.int64)
    node, edge = [], []
    if main.labels != (NO_EDGE, EDGE):
        edge.append(Attribute(main.name, kind[graph, pair] - 1, main.labels[1:]))
    for field, block in blocks.items():
        if field.kind == "category" and field.part == "node":
            node.append(Attribute(field.name, block.argmax(1)[here], field.labels))
        elif field.kind == "real":
            chosen = block[:, 0][here] if field.part == "node" else block[graph, 0, pair]
            (node if field.part == "node" else edge).append(Attribute(field.name, chosen.astype(np.float64)))
    return Graphs(here.sum(1).astype(np.int64), edges, tuple(node), tuple(edge))
