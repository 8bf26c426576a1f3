"""Describes graphs in a line, and takes their fingerprint."""

import hashlib
from collections.abc import Sequence

import numpy as np

from genlab.data.files import several
from genlab.data.graphs.graph import Attribute, Graphs

WORDS = 12  # labels of a category that are listed


def shape_of(graphs: Graphs) -> str:
    """Returns how many graphs there are, and how large they are: "2,000 graphs of 12 to 20 nodes, ..."."""
    low, high = int(graphs.sizes.min()), int(graphs.sizes.max())
    nodes = f"{low} to {high}" if low < high else f"{low}"
    return f"{len(graphs.sizes):,} graphs of {nodes} nodes, with {graphs.edge_counts.mean():.1f} edges on average"


def attributes_of(graphs: Graphs) -> list[str]:
    """Returns a line for each attribute: its labels and their counts, or its range."""
    parts = (("nodes", graphs.node), ("edges", graphs.edge))
    return [f"  {part}: {_attribute(attribute)}" for part, attributes in parts for attribute in attributes]


def _attribute(attribute: Attribute) -> str:
    if not attribute.labels:
        values = attribute.values
        return f"{attribute.name}, numbers from {values.min():g} to {values.max():g}, {values.mean():g} on average"
    counts = np.bincount(attribute.values, minlength=len(attribute.labels))
    common = np.argsort(-counts, kind="stable")
    return f"{attribute.name}: {several([f'{attribute.labels[k]} {counts[k]:,}' for k in common], WORDS)}"


def content(splits: Sequence[Graphs]) -> str:
    """Returns a fingerprint of graphs: 16 hexadecimal digits that change when any graph does."""
    hashed = hashlib.sha256()
    for graphs in splits:
        hashed.update(np.ascontiguousarray(graphs.sizes).tobytes())
        hashed.update(np.ascontiguousarray(graphs.edges).tobytes())
        for attribute in (*graphs.node, *graphs.edge):
            hashed.update(repr((attribute.name, attribute.labels)).encode())
            hashed.update(np.ascontiguousarray(attribute.values).tobytes())
        hashed.update(repr(graphs.labels).encode())
    return hashed.hexdigest()[:16]
