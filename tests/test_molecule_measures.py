"""Measures of molecules on ones whose answers are known."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from genlab.data.base import Dataset, Split
from genlab.data.fields import Field
from genlab.data.packed import Packed, pack, presence
from genlab.evaluation.judges import judge_of, quick_judge_of
from genlab.metrics.graphs import molecules
from genlab.metrics.graphs.molecules import Valid, valid

Chem: Any = pytest.importorskip("rdkit.Chem")
ATOMS = ("C", "N", "N+", "O", "O-")
FIELDS = (
    Field("present", "present", part="node"),
    Field("atom", "category", len(ATOMS), part="node", labels=ATOMS),
    Field("bond", "category", 4, part="edge", labels=("none", "single", "double", "triple")),
)
SMILES = ["CCO", "c1ccccc1", "C[N+](=O)[O-]", "C#N", "C1CC1", "OCCN", "CC(=O)O", "c1ccncc1", "C1CCCC1", "CCCCCC"]
NODES = 8


def lists(text: str) -> tuple[list[str], list[tuple[int, int, str]]]:
    """The atoms and bonds of a SMILES, kekulised."""
    found = Chem.MolFromSmiles(text)
    Chem.Kekulize(found, clearAromaticFlags=True)
    charge = {0: "", 1: "+", -1: "-"}
    atoms = [atom.GetSymbol() + charge[atom.GetFormalCharge()] for atom in found.GetAtoms()]
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), str(b.GetBondType()).lower()) for b in found.GetBonds()]
    return atoms, bonds


def packed(found: list[tuple[list[str], list[tuple[int, int, str]]]]) -> torch.Tensor:
    nodes = torch.zeros(len(found), NODES, 1 + len(ATOMS))
    edges = torch.zeros(len(found), NODES, NODES, 4)
    edges[..., 0] = 1
    for k, (atoms, bonds) in enumerate(found):
        nodes[k, : len(atoms), 0] = 1
        for place, atom in enumerate(atoms):
            nodes[k, place, 1 + ATOMS.index(atom)] = 1
        for a, b, kind in bonds:
            edges[k, min(a, b), max(a, b)] = torch.eye(4)[FIELDS[2].labels.index(kind)]
    return pack(nodes, edges) * presence(nodes[..., 0], Packed(NODES, 1 + len(ATOMS), 4))


@pytest.fixture(scope="module")
def data() -> Dataset:
    x = packed([lists(text) for text in SMILES])
    return Dataset("molecules", {"train": Split(x[:6]), "validation": Split(x[4:]), "test": Split(x)}, FIELDS, nodes=8)


def of_smiles(*texts: str) -> Valid:
    return valid([molecules.molecule(*lists(text)) for text in texts])


def test_molecules_are_what_their_lists_say():
    found = of_smiles(*SMILES)
    assert found.smiles == [Chem.CanonSmiles(text) for text in SMILES]
    assert molecules.validity(found) == {"valid": 1.0, "valid_unique": 1.0}
    with pytest.raises(ValueError, match="'X' is not an element"):
        molecules.molecule(["X"], [])


def test_nothing_is_repaired():
    crowded = molecules.molecule(["C"] + ["O"] * 5, [(0, k, "single") for k in range(1, 6)])
    bare = molecules.molecule(["C", "N"], [(0, 1, "triple")])
    again = molecules.molecule(["N", "C"], [(1, 0, "triple")])
    found = valid([crowded, bare, again, molecules.molecule([], [])])
    assert found.smiles == ["C#N", "C#N"]
    assert molecules.validity(found) == {"valid": 0.5, "valid_unique": 0.5}
    assert molecules.valid_novel(found, ["C#N"]) == {"valid_novel": 0.0}
    assert molecules.valid_novel(of_smiles("C#N", "CCO", "CCO", "CN"), ["C#N"]) == {"valid_novel": pytest.approx(2 / 3)}
    none = valid([crowded])
    assert molecules.validity(none) == {"valid": 0.0}
    for measure in (lambda: molecules.valid_novel(none, []), lambda: molecules.internal_diversity(none)):
        with pytest.raises(ValueError, match="no molecule is valid"):
            measure()


def test_properties_are_compared_by_wasserstein_distances():
    small, large = of_smiles("CCO", "C1CC1"), of_smiles("c1ccccc1", "CCCCCC", "C1CCCC1")
    found = molecules.property_distances(small, large)
    assert found["atoms_w1"] == pytest.approx(wasserstein_distance([3, 3], [6, 6, 5]))
    assert found["ring_size_w1"] == pytest.approx(wasserstein_distance([3], [6, 5]))
    assert found["logp_w1"] > 0 < found["qed_w1"]
    assert set(molecules.property_distances(small, small).values()) == {0.0}
    assert "ring_size_w1" not in molecules.property_distances(of_smiles("CCO"), large)  # no rings


def test_internal_diversity_is_one_minus_the_mean_similarity():
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    found = of_smiles(*SMILES)
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [make.GetFingerprint(each) for each in found.molecules]
    mean = np.mean([DataStructs.TanimotoSimilarity(a, b) for a, b in itertools.product(prints, prints)])
    assert molecules.internal_diversity(found)["internal_diversity"] == pytest.approx(1 - mean)
    assert molecules.internal_diversity(of_smiles("CCO", "OCC"))["internal_diversity"] == pytest.approx(0)


def test_a_data_set_of_molecules_is_recognised_and_judged(data: Dataset):
    assert molecules.molecular(data.spec)
    reasons: dict[str, str] = {}
    found = judge_of(data, "test", 10, reasons=reasons)(data.real("test", 10))
    assert found["valid"] == found["valid_unique"] == 1
    assert found["valid_novel"] == pytest.approx(0.4)
    assert found["atoms_w1"] == found["node_tv"] == found["edge_tv"] == 0
    assert "unique" not in found  # counted among valid molecules instead
    broken = [lists("CCO"), (["O", "O", "O", "O"], [(0, 1, "double"), (0, 2, "double"), (0, 3, "single")])]
    quick = quick_judge_of(data, reasons={})(packed(broken))
    assert quick["eval/valid"] == 0.5
    floor, noise = judge_of(data, "test", 6, reasons={}).calibration(6)
    assert floor["valid_novel"] == pytest.approx(4 / 6)  # that of the other held-out molecules
    assert noise["degree_mmd"] > 0
    random = quick_judge_of(data, reasons={})(judge_of(data, "test", 10).noise(200))
    assert 0 < random["eval/valid"] < 0.9


def test_other_graphs_are_not_molecules(data: Dataset):
    for change in ({"labels": ("red", "blue")}, {"name": "colour"}):
        fields = (FIELDS[0], FIELDS[1]._replace(**{"size": 5, **change}), FIELDS[2])
        spec = Dataset("graphs", data.splits, fields, nodes=8).spec
        assert not molecules.molecular(spec)


def test_without_rdkit_the_reason_says_what_to_install(data: Dataset, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rdkit", None)
    reasons: dict[str, str] = {}
    found = judge_of(data, "test", 6, reasons=reasons)(data.real("train", 6))
    assert "genlab[molecules]" in reasons["validity"]
    assert {"degree_mmd", "node_tv"} <= found.keys()
