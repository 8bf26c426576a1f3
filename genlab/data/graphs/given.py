"""Graphs and molecules from outside as a trained model reads them: files in the format of its source, and objects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from genlab.data.fields import Field
from genlab.data.files import several
from genlab.data.graphs.edge_list import table
from genlab.data.graphs.graph import Attribute, Graphs, networkx
from genlab.data.graphs.graphml import from_networkx
from genlab.data.graphs.own_graphs import SUFFIXES, TEXT, read_graphs
from genlab.data.graphs.packing import pack_graphs
from genlab.data.graphs.raw_edges import undirected
from genlab.data.graphs.source import of_molecules
from genlab.data.graphs.write import format_of
from genlab.data.spec import Spec
from genlab.errors import UserError, choose, did_you_mean

FEWEST = 2  # samples that can be judged


def of_file(path: Path, spec: Spec) -> Tensor | None:
    """Reads graphs from a file like the source: packed, in units (N, P); None for an array of packed graphs.

    Raises:
        UserError: the file is damaged, or has graphs that do not fit the spec; the message says which.
    """
    source = format_of(spec)
    choose("samples: the ending", path.suffix.lower(), TEXT if source.format == "smiles" else SUFFIXES)
    if source.format == "smiles":
        graphs = _smiles_file(path, source.column)
    else:
        if path.suffix.lower() == ".npz" and _packed(path):
            return None
        key = source.key if path.suffix.lower() == ".npz" and source.format == "npz" else None
        exclude = [source.label] if source.label else []
        graphs, _ = read_graphs(str(path), None, key, source.ends, exclude, symmetrise=None)
    if len(graphs.sizes) < FEWEST:
        raise UserError(f"samples: {path} has {len(graphs.sizes)} graphs, but at least {FEWEST} are needed")
    return _units(graphs, spec)


def of_objects(objects: Sequence[Any], spec: Spec) -> Tensor:
    """Packs networkx graphs, or SMILES if the model learned molecules: (N, P) in units.

    Raises:
        UserError: one cannot be read, or does not fit the spec; the message says which, counted from 0.
    """
    names = [f"sample {k}" for k in range(len(objects))]
    kind = str if of_molecules(spec.source) else networkx().Graph
    for name, each in zip(names, objects, strict=True):
        if not isinstance(each, kind):
            wanted = "SMILES, which are str" if kind is str else "networkx.Graph"
            raise UserError(f"{name} is a {type(each).__name__}; samples of this model are {wanted}")
    if kind is str:
        return _units(_smiles("samples", list(objects), names), spec)
    raw = from_networkx("samples", names, objects, None, (), None)
    return _units(undirected(raw, None), spec)


def _packed(path: Path) -> bool:
    """Whether an .npz file holds packed samples."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return "samples" in arrays
    except Exception:  # which exception numpy and zipfile raise depends on the damage; reading it again says more
        return False


def _smiles_file(path: Path, column: str) -> Graphs:
    names, lines, rows, _ = table(path)
    if column not in names:
        raise UserError(f"samples: {path.name} has no column '{column}'{did_you_mean(column, names)}")
    place = names.index(column)
    return _smiles(path.name, [row[place].strip() for row in rows], [f"line {line}" for line in lines])


def _smiles(file: str, texts: list[str], places: list[str]) -> Graphs:
    """Reads SMILES as graphs, also of molecules that break rules of valence."""
    from genlab.data.graphs.smiles import from_smiles

    found = from_smiles(texts, broken=True)
    if bad := sorted(row for rows in found.refused.values() for row in rows):
        shown = several([f"{places[row]}: '{texts[row][:40]}'" for row in bad])
        raise UserError(f"{file}: {len(bad):,} of {len(texts):,} are not molecules that a graph can hold: {shown}")
    return found.graphs._replace(names=places)


def _units(graphs: Graphs, spec: Spec) -> Tensor:
    node = tuple(_like(attribute, spec.fields) for attribute in graphs.node)
    edge = tuple(_like(attribute, spec.fields) for attribute in graphs.edge)
    return spec.units(pack_graphs(graphs._replace(node=node, edge=edge), spec.fields, spec.nodes))


def _like(attribute: Attribute, fields: Sequence[Field]) -> Attribute:
    """Reads labels that are all numbers as numbers where the spec has numbers: few samples may have few values."""
    field = next((field for field in fields if field.name == attribute.name), None)
    if field is None or field.kind != "real" or not attribute.labels:
        return attribute
    try:
        return Attribute(attribute.name, np.array([float(label) for label in attribute.labels])[attribute.values])
    except ValueError:
        return attribute  # packing says what is wrong
