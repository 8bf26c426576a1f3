"""Measures of molecules: valid, different and new ones, and how far their properties are from those of real ones.

A molecule is valid if RDKit can sanitise it as it is (valences, aromaticity); nothing is repaired. Different and new
molecules are counted among the valid ones, by canonical SMILES without stereochemistry, as in D. Polykovskiy et al.,
"Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation Models", 2020,
https://arxiv.org/abs/1811.12823. Wasserstein-1 distances compare, over the valid molecules: the number of atoms without
hydrogens; log P, the solubility in octanol over that in water (S. A. Wildman, G. M. Crippen, "Prediction of
Physicochemical Parameters by Atomic Contributions", 1999, https://doi.org/10.1021/ci990307l); QED, the likeness to
drugs (G. R. Bickerton et al., "Quantifying the chemical beauty of drugs", 2012, https://doi.org/10.1038/nchem.1243);
and the sizes of all rings.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from genlab.data.graphs.smiles import BONDS, LABEL, built, quiet, rdkit
from genlab.data.spec import Spec
from genlab.metrics.graphs.batch import GraphBatch, links

SYMBOLS = (  # of the 118 elements
    "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXeCsBa"
    "LaCePrNdPmSmEuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRnFrRaAcThPaUNpPuAmCmBkCfEsFmMdNoLrRfDbSgBh"
    "HsMtDsRgCnNhFlMcLvTsOg"
)
ELEMENTS = frozenset(re.findall("[A-Z][a-z]?", SYMBOLS))
PROPERTIES = 2000  # most molecules whose properties are computed, and whose fingerprints are compared


def molecular(spec: Spec) -> bool:
    """Whether graphs are molecules: nodes have a category "atom" of elements, and edges are of the kinds in `BONDS`."""
    bond = links(spec)
    atom = next((f for f in spec.fields if f.part == "node" and f.kind == "category" and f.name == "atom"), None)
    if atom is None or bond is None or not atom.labels:
        return False
    return all(map(element, atom.labels)) and bond.size > 1 and set(bond.labels[1:]) <= set(BONDS)


def element(label: str) -> tuple[str, int] | None:
    """The element and the charge of a label such as "N+"; None if it is none."""
    match = LABEL.fullmatch(label)
    if match is None or match[1] not in ELEMENTS:
        return None
    return match[1], int(match[3] or 1) * (1 if match[2] == "+" else -1) if match[2] else 0


def molecule(atoms: Iterable[str], bonds: Iterable[tuple[int, int, str]]) -> Any:
    """Builds an RDKit molecule, which is not sanitised: it may break the rules of valence.

    Args:
        atoms: labels such as "C" and "N+"; hydrogens are implicit.
        bonds: (atom, atom, one of `BONDS`).

    Raises:
        UserError: RDKit is not installed.
        ValueError: a label is no element with a charge.
    """
    labels = list(atoms)
    if odd := [label for label in labels if element(label) is None]:
        raise ValueError(f"'{odd[0]}' is not an element with a charge")
    return built(labels, ((a, b, BONDS.index(kind)) for a, b, kind in bonds))


def molecules(graphs: GraphBatch, spec: Spec) -> list[Any]:
    """Builds a molecule from each graph of a spec that is `molecular`."""
    atom = next(a for a in graphs.node if a.name == "atom")
    bond = links(spec)
    assert bond is not None
    kinds = next((a for a in graphs.edge if a.name == bond.name), None)
    made = []
    for k, size in enumerate(graphs.sizes.tolist()):
        lines = np.argwhere(np.triu(graphs.adjacency[k], 1))
        words = bond.labels[1:] if kinds is None else kinds.labels
        place = np.zeros(len(lines), int) if kinds is None else kinds.values[k][tuple(lines.T)]
        bonds = [(int(a), int(b), words[int(p)]) for (a, b), p in zip(lines, place, strict=True)]
        made.append(molecule([atom.labels[int(v)] for v in atom.values[k, :size]], bonds))
    return made


class Valid(NamedTuple):
    """The valid ones of some molecules."""

    molecules: list[Any]  # sanitised
    smiles: list[str]  # canonical, without stereochemistry
    total: int  # how many molecules there were


def valid(found: Sequence[Any]) -> Valid:
    """Sanitises copies of RDKit molecules; those without atoms, and those that break a rule, are not valid."""
    chem = rdkit()
    good, texts = [], []
    with quiet():
        for each in found:
            copy = chem.Mol(each)
            try:
                chem.SanitizeMol(copy)
            except (ValueError, RuntimeError):  # RDKit's exceptions about valence and aromaticity are ValueErrors
                continue
            if copy.GetNumAtoms():
                good.append(copy)
                texts.append(chem.MolToSmiles(copy, isomericSmiles=False))
    return Valid(good, texts, len(found))


def validity(found: Valid) -> dict[str, float]:
    """The share of valid molecules, and that of different ones among them."""
    shares = {"valid": len(found.smiles) / max(found.total, 1)}
    return shares | ({"valid_unique": len(set(found.smiles)) / len(found.smiles)} if found.smiles else {})


def valid_novel(found: Valid, train: Iterable[str]) -> dict[str, float]:
    """The share of molecules that are not in training, by SMILES, among the different valid ones.

    Raises:
        ValueError: none is valid.
    """
    different = set(needed(found).smiles)
    return {"valid_novel": len(different - set(train)) / len(different)}


def property_distances(fake: Valid, real: Valid) -> dict[str, float]:
    """Wasserstein-1 distances between the properties of valid molecules.

    Raises:
        ValueError: none is valid on one side.
    """
    from scipy.stats import wasserstein_distance

    x, y = (properties(needed(found).molecules[:PROPERTIES]) for found in (fake, real))
    return {f"{name}_w1": float(wasserstein_distance(x[name], y[name])) for name in x if len(x[name]) and len(y[name])}


def properties(found: Sequence[Any]) -> dict[str, np.ndarray]:
    """The number of atoms, log P and QED of each valid molecule, and the sizes of all their rings."""
    rdkit()
    from rdkit.Chem import QED, Crippen

    rings = [len(ring) for each in found for ring in each.GetRingInfo().AtomRings()]
    return {
        "atoms": np.array([each.GetNumHeavyAtoms() for each in found], float),
        "logp": np.array([Crippen.MolLogP(each) for each in found]),  # type: ignore[attr-defined]
        "qed": np.array([QED.qed(each) for each in found]),
        "ring_size": np.array(rings, float),
    }


def internal_diversity(found: Valid) -> dict[str, float]:
    """1 minus the mean Tanimoto similarity of all pairs of valid molecules, by Morgan fingerprints of radius 2.

    D. Rogers, M. Hahn, "Extended-Connectivity Fingerprints", 2010, https://doi.org/10.1021/ci100050t, in 1024 bits; as
    in MOSES, pairs of a molecule with itself are included.

    Raises:
        ValueError: none is valid.
    """
    rdkit()
    from rdkit.Chem import rdFingerprintGenerator

    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    chosen = needed(found).molecules[:PROPERTIES]
    bits = np.stack([make.GetFingerprintAsNumPy(each) for each in chosen]).astype(np.float32)
    both = bits @ bits.T
    ones = bits.sum(1)
    either = ones[:, None] + ones - both
    return {"internal_diversity": float(1 - (both / np.maximum(either, 1)).mean(dtype=np.float64))}


def needed(found: Valid) -> Valid:
    """Returns what it is given.

    Raises:
        ValueError: no molecule is valid.
    """
    if not found.smiles:
        raise ValueError("no molecule is valid")
    return found
