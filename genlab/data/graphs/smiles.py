"""Molecules as graphs and back, with RDKit: atoms are nodes, bonds are edges, hydrogens are implicit.

A node is an element with its charge, such as "N" or "N+"; an edge is a single, double or triple bond. Aromatic rings
are written with alternating bonds (kekulised), which RDKit recognises again. Stereochemistry is not kept.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from genlab.data.graphs.graph import Attribute, Graphs
from genlab.data.graphs.source import GraphSource
from genlab.errors import UserError

ATOM, BOND = "atom", "bond"  # names of the attributes
BONDS = ("single", "double", "triple")
LABEL = re.compile(r"([A-Z][a-z]?)(?:([+-])([0-9]*))?")  # an element and its charge
UNREADABLE, DIFFERENT = "RDKit cannot read them", "radicals, isotopes, or bonds and valences of other kinds"


class Molecules(NamedTuple):
    """Molecules as graphs, and the rows that are none."""

    graphs: Graphs
    rows: np.ndarray  # (G,) the row of each molecule
    refused: dict[str, list[int]]  # rows by reason


def rdkit() -> Any:
    """Imports `rdkit.Chem`.

    Raises:
        UserError: RDKit is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise UserError("molecules need RDKit: pip install 'genlab[molecules]'") from error
    return Chem


@contextmanager
def quiet() -> Iterator[None]:
    """Context without RDKit's messages about molecules that it cannot read."""
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        yield


def from_smiles(texts: Sequence[str], broken: bool = False) -> Molecules:
    """Reads SMILES as graphs, at about 0.4 ms each.

    Each graph is turned into a molecule again, which must have the SMILES of the original without stereochemistry.
    Others are refused: radicals and isotopes, for example.

    Args:
        broken: whether to read also molecules that break rules of valence, whose bonds must not be aromatic.
    """
    from tqdm import tqdm

    chem = rdkit()
    sizes, edges, atoms, bonds, rows = [], [], [], [], []
    refused: dict[str, list[int]] = {UNREADABLE: [], DIFFERENT: []}
    with quiet():
        for row, text in enumerate(tqdm(texts, "reading molecules", disable=True if len(texts) < 5000 else None)):
            molecule = chem.MolFromSmiles(text) if text.strip() else None
            valid = molecule is not None
            if broken and not valid and text.strip():
                molecule = chem.MolFromSmiles(text, sanitize=False)
            if molecule is None or not molecule.GetNumAtoms():
                refused[UNREADABLE].append(row)
                continue
            parts = _parts(chem, molecule, valid)
            if parts is None or (valid and smiles(built(*parts)) != chem.MolToSmiles(molecule, isomericSmiles=False)):
                refused[DIFFERENT].append(row)
                continue
            edges += [(len(sizes), *sorted(ends)) for *ends, _ in parts[1]]
            atoms += parts[0]
            bonds += [kind for *_, kind in parts[1]]
            sizes.append(len(parts[0]))
            rows.append(row)
    labels = sorted(set(atoms))
    place = {label: k for k, label in enumerate(labels)}
    graphs = Graphs(
        np.array(sizes, np.int64),
        np.array(edges, np.int64).reshape(-1, 3),
        (Attribute(ATOM, np.array([place[atom] for atom in atoms], np.int64), tuple(labels)),),
        (Attribute(BOND, np.array(bonds, np.int64), BONDS),),
    )
    return Molecules(graphs, np.array(rows, np.int64), {reason: bad for reason, bad in refused.items() if bad})


def _parts(chem: Any, molecule: Any, valid: bool) -> tuple[list[str], list[tuple[int, int, int]]] | None:
    """The labels of the atoms, and the bonds as (atom, atom, kind); None if there are others than the three kinds."""
    plain = chem.Mol(molecule)
    if valid:
        chem.Kekulize(plain, clearAromaticFlags=True)
    kinds = {chem.BondType.SINGLE: 0, chem.BondType.DOUBLE: 1, chem.BondType.TRIPLE: 2}
    atoms, bonds = [], []
    for atom in plain.GetAtoms():
        if atom.GetIsotope() or atom.GetNumRadicalElectrons():
            return None
        charge = atom.GetFormalCharge()
        size = str(abs(charge)) if abs(charge) > 1 else ""
        atoms.append(atom.GetSymbol() + ("" if not charge else "+-"[charge < 0] + size))
    for bond in plain.GetBonds():
        if bond.GetBondType() not in kinds:
            return None
        bonds.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), kinds[bond.GetBondType()]))
    return (atoms, bonds) if all(map(LABEL.fullmatch, atoms)) else None


def built(atoms: Iterable[str], bonds: Iterable[tuple[int, int, int]]) -> Any:
    """Builds an RDKit molecule, which is not sanitised: it may break the rules of valence.

    Args:
        atoms: labels such as "C" and "N+".
        bonds: (atom, atom, place in `BONDS`).

    Raises:
        ValueError: a label is no element with a charge.
    """
    chem = rdkit()
    molecule = chem.RWMol()
    for label in atoms:
        match = LABEL.fullmatch(label)
        if match is None:
            raise ValueError(f"'{label}' is not an element with a charge")
        element, sign, size = match.groups()
        atom = chem.Atom(element)
        if sign:
            atom.SetFormalCharge(int(size or 1) * (1 if sign == "+" else -1))
        molecule.AddAtom(atom)
    kinds = (chem.BondType.SINGLE, chem.BondType.DOUBLE, chem.BondType.TRIPLE)
    for a, b, kind in bonds:
        molecule.AddBond(int(a), int(b), kinds[kind])
    return molecule


def molecules(graphs: Graphs) -> list[Any]:
    """Builds an RDKit molecule from each graph; they are not sanitised."""
    atoms = next(a for a in graphs.node if a.name == ATOM).words
    kind = next(a for a in graphs.edge if a.name == BOND)
    kinds = np.array([BONDS.index(label) for label in kind.labels], np.int64)[kind.values].tolist()
    nodes = np.cumsum([0, *graphs.sizes]).tolist()
    edges = np.cumsum([0, *graphs.edge_counts]).tolist()
    lines = graphs.edges[:, 1:].tolist()
    made = []
    for k in range(len(graphs.sizes)):
        bonds = [(*lines[row], kinds[row]) for row in range(edges[k], edges[k + 1])]
        made.append(built(atoms[nodes[k] : nodes[k + 1]], bonds))
    return made


def smiles(molecule: Any, largest: bool = False) -> str | None:
    """Returns the canonical SMILES of a molecule, without stereochemistry; None if it breaks the rules of valence.

    Nothing is repaired: a molecule is valid if RDKit can sanitise it as it is.

    Args:
        largest: whether to take only the largest fragment of a molecule in several parts.
    """
    chem = rdkit()
    molecule = chem.Mol(molecule)
    try:
        chem.SanitizeMol(molecule)
    except (ValueError, RuntimeError):  # RDKit's exceptions about valence and aromaticity are ValueErrors
        return None
    if largest:
        parts = chem.GetMolFrags(molecule, asMols=True)
        molecule = max(parts, key=lambda part: part.GetNumHeavyAtoms())
    return chem.MolToSmiles(molecule, isomericSmiles=False)


def to_smiles(graphs: Graphs, largest: bool = False) -> list[str | None]:
    """Returns the canonical SMILES of each graph; None for invalid ones, see `smiles`."""
    with quiet():
        return [smiles(molecule, largest) for molecule in molecules(graphs)]


def to_text(graphs: Graphs) -> list[tuple[str, bool]]:
    """Returns a SMILES of each graph and whether it is valid: canonical if it is, else its atoms and bonds as they are.

    `from_smiles` reads the invalid ones if it is told to.
    """
    chem = rdkit()
    with quiet():
        found = [(smiles(molecule), molecule) for molecule in molecules(graphs)]
        return [
            (chem.MolToSmiles(molecule, canonical=False) if text is None else text, text is not None)
            for text, molecule in found
        ]


def smiles_table(graphs: Graphs, source: GraphSource) -> tuple[bytes, list[str]]:
    """Writes molecules as a .csv with the column names and the delimiter of the source, and says how many are valid.

    A further column `valid` says whether RDKit can sanitise the molecule; invalid ones are written as they are.
    """
    texts = to_text(graphs)
    label = [source.label or "label"] if graphs.labels is not None else []
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=source.delimiter, lineterminator="\n")
    names = [source.column, *label]
    writer.writerow([*names, "valid" if "valid" not in names else "valid_molecule"])
    for k, (text, valid) in enumerate(texts):
        own = [] if graphs.labels is None else [graphs.labels[k]]
        writer.writerow([text, *own, "true" if valid else "false"])
    valid = sum(valid for _, valid in texts)
    return out.getvalue().encode(), [f"{valid:,} of {len(texts):,} molecules are valid before any repair"]
