"""Molecules from a column of SMILES."""

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from genlab.data.base import Dataset, cache_folders
from genlab.data.files import find, quoted, several
from genlab.data.graphs.edge_list import table
from genlab.data.graphs.graph import Attribute, Graphs
from genlab.data.graphs.node_order import ORDERS
from genlab.data.graphs.prepared import prepared
from genlab.data.graphs.smiles import Molecules, from_smiles, rdkit
from genlab.data.graphs.source import GraphSource
from genlab.data.labels import complete, name_of
from genlab.errors import UserError, choose, did_you_mean, within
from genlab.runs.files import write_atomically

VERSION = 1  # of what is cached; changes whenever `from_smiles` reads anything differently
CACHED = 2000  # rows from which on it pays to keep what was read


class MoleculeTable(Dataset):
    """Molecules: data.path=FILE.csv, with a column of SMILES; hydrogens are implicit, rings have alternating bonds.

    Atoms of the same element with different charges are different kinds of nodes: "N", "N+". Stereochemistry is left
    out. 100,000 molecules are read in about a minute, once; what was read is kept in a cache folder.

    Args:
        path: a .csv or .tsv file.
        column: the column of SMILES.
        label: the column with the class of each molecule; None: no classes.
        n: reads only the first n rows; None: all.
        invalid: what to do with rows that RDKit cannot read and molecules that are not the same after a way through
            the graph (radicals, isotopes, dative bonds): "refuse" or "drop".
        max_nodes: molecules with more atoms, without hydrogens, are left out; None: none are.
        rare: molecules with a kind of atom or bond that fewer molecules have are left out; None: one in 5,000
            molecules, but at least 2 and at most 10.
        order: how atoms are numbered: "none" (as in the SMILES), "bfs" or "degree".
        validation, test: shares of the molecules, at least one each.

    Raises:
        UserError: the file or a column does not exist, molecules cannot be read, or RDKit is not installed.
    """

    def __init__(
        self,
        path: str,
        column: str = "smiles",
        label: str | None = None,
        n: int | None = None,
        invalid: str = "refuse",
        max_nodes: int | None = None,
        rare: int | None = None,
        order: str = "none",
        validation: float = 0.1,
        test: float = 0.1,
    ) -> None:
        choose("invalid", invalid, ("refuse", "drop"))
        choose("order", order, ORDERS)
        file = find(path, "file")
        choose("data.path: the ending", file.suffix.lower(), (".csv", ".tsv"))
        rdkit()
        names, lines, rows, delimiter = table(file)
        for option, name in (("column", column), ("label", label)):
            if name is not None and name not in names:
                near = did_you_mean(name, names)
                raise UserError(
                    f"data.{option}: {file.name} has no column '{name}'; its columns are {quoted(names)}{near}"
                )
        if n is not None:
            within("n", n, 1)
            rows = rows[:n]
        place = names.index(column)
        found = cached([row[place].strip() for row in rows])
        note = _refused(file, found, [row[place] for row in rows], lines, invalid)
        graphs = found.graphs._replace(names=[f"line {lines[row]}" for row in found.rows])
        if label is not None:
            cells = [name_of(rows[row][names.index(label)]) for row in found.rows]
            graphs = graphs._replace(labels=complete(file, cells, label, graphs.name))
        source = GraphSource("smiles", label=label or "", delimiter=delimiter, column=column)
        made = prepared(graphs, file, source, max_nodes, rare, order, validation, test, "molecules")
        super().__init__(file.name, made.splits, **made.arguments)
        self.notes = made.notes + note


def _refused(file: Path, found: Molecules, texts: Sequence[str], lines: Sequence[int], invalid: str) -> list[str]:
    """Refuses a file with bad rows, or returns a line that counts them."""
    if not found.refused:
        return []
    why = []
    for reason, rows in found.refused.items():
        shown = [f"line {lines[row]}: '{texts[row][:40]}'" for row in rows]
        why.append(f"{len(rows):,} of {len(texts):,} ({reason}): {several(shown)}")
    if invalid == "refuse":
        raise UserError(
            f"{file.name}: molecules that cannot be learnt: {'; '.join(why)}; correct them, or leave them out: "
            f"data.invalid=drop"
        )
    if not len(found.rows):
        raise UserError(f"{file.name}: no molecule can be learnt: {'; '.join(why)}")
    return [f"  left out: {'; '.join(why)}"]


def cached(texts: Sequence[str]) -> Molecules:
    """Reads SMILES, or takes what was read from the same ones before, from a file in a cache folder."""
    if len(texts) < CACHED:
        return from_smiles(texts)
    import rdkit as library

    content = hashlib.sha256(json.dumps([VERSION, library.__version__, *texts]).encode()).hexdigest()[:16]
    files = [folder / f"molecules-{content}.npz" for folder in cache_folders()]
    for file in files:
        if (kept := _load(file)) is not None:
            return kept
    found = from_smiles(texts)
    for file in files:
        with suppress(OSError):  # a cache that cannot be written costs only time
            os.makedirs(file.parent, exist_ok=True)
            write_atomically(file, lambda stream: _save(stream, found), shared=True)
            break
    return found


def _save(stream, found: Molecules) -> None:
    graphs = found.graphs
    attributes = {f"{part}.{a.name}": a for part, each in (("node", graphs.node), ("edge", graphs.edge)) for a in each}
    words = json.dumps([found.refused, {name: attribute.labels for name, attribute in attributes.items()}])
    values = {name: attribute.values for name, attribute in attributes.items()}
    values |= {"sizes": graphs.sizes, "edges": graphs.edges, "rows": found.rows, "words": np.array(words)}
    np.savez_compressed(stream, **values)  # type: ignore[arg-type]


def _load(file: Path) -> Molecules | None:
    """What `_save` wrote; None if there is no such file, or it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            refused, labels = json.loads(str(kept["words"]))
            made = {name: Attribute(name[5:], kept[name], tuple(each)) for name, each in labels.items()}
            node, edge = (tuple(a for name, a in made.items() if name.startswith(part)) for part in ("node.", "edge."))
            return Molecules(Graphs(kept["sizes"], kept["edges"], node, edge), kept["rows"], refused)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
