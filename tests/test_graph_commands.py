"""Pictures of graphs and molecules, and commands on them."""

import csv
from pathlib import Path

import numpy as np
from conftest import Cli
from graph_files import SMILES, sample, save, spec_of, table

from genlab import load
from genlab.data.graphs import smiles
from genlab.data.graphs.graph import Attribute
from genlab.data.graphs.own_graphs import read_graphs
from genlab.data.graphs.packing import pack_graphs
from genlab.data.graphs.source import GraphSource
from genlab.plots.drawers import DRAWERS
from genlab.plots.graphs import INVALID


def test_graphs_are_drawn_in_grids():
    graphs = sample(classes=False)
    spec = spec_of(graphs, 6)
    units = spec.decode(pack_graphs(graphs, spec.fields, 6))
    drawer = DRAWERS["graph"]
    picture = drawer.sheet(spec, {"samples": units[:9]}, None, lambda: None)
    assert picture.shape == (3 * 181 + 1, 3 * 181 + 1, 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert drawer.again(spec, units[:4], units[4:8]).shape == (2 * 181 + 1, 4 * 181 + 1, 3)
    assert drawer.moved(spec, units[:3], units[3:6], units[6:9], units).shape == (3 * 181 + 1, 3 * 181 + 1, 3)
    alone = units.clone()
    alone[:, 1:6] = 0
    assert drawer.sheet(spec, {"samples": alone[:1]}, None, lambda: None).shape == (182, 182, 3)


def test_invalid_molecules_are_drawn_on_red():
    found = smiles.from_smiles(["CCCO"])
    star = found.graphs._replace(
        sizes=np.array([6]),
        edges=np.array([[0, 0, k] for k in range(1, 6)]),
        node=(Attribute("atom", np.zeros(6, np.int64), ("C",)),),
        edge=(Attribute("bond", np.zeros(5, np.int64), smiles.BONDS),),
    )
    pairs = np.array([[0, a, b] for a in range(6) for b in range(a + 1, 6)])
    dense = star._replace(edges=pairs, edge=(Attribute("bond", np.zeros(15, np.int64), smiles.BONDS),))
    corners = []
    for graphs in (found.graphs, star, dense):
        spec = spec_of(graphs, 6, source=GraphSource("smiles"))
        units = spec.decode(pack_graphs(graphs, spec.fields, 6))
        corners.append(DRAWERS["graph"].sheet(spec, {"samples": units}, None, lambda: None)[2, 2] / 255)
    np.testing.assert_allclose(corners, [[1, 1, 1], INVALID, INVALID], atol=0.01)


STEPS = ("trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu", "hydra.run.dir=run")


def test_molecules_are_sampled_as_smiles(cli: Cli, tmp_path: Path):
    path = table(tmp_path / "m.csv", SMILES * 6)
    code, out, err = cli("train", "data=molecules", f"data.path={path}", "model=vae", "trainer.sample_every=2", *STEPS)
    assert (code, err) == (0, "")
    assert "  nodes: atom: C " in out
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    code, out, err = cli("sample", "run=run", "n=12")
    assert (code, err) == (0, "")
    with open(tmp_path / "run" / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    valid = [row["smiles"] for row in rows if row["valid"] == "true"]
    assert f"samples.csv: {len(valid)} of 12 molecules are valid before any repair" in out
    chem = smiles.rdkit()
    assert all(chem.MolFromSmiles(text) is not None for text in valid)
    assert (tmp_path / "run" / "grid.png").exists()
    code, out, err = cli("evaluate", "samples=run/samples.csv", "data=molecules", f"data.path={path}")
    assert (code, err) == (0, "")
    assert "12 samples against" in out
    model = load("run")
    drawn = model.sample(3, seed=0)
    assert all(isinstance(text, str) for text in drawn)
    assert len(model.encode(drawn)) == len(model.reconstruct(["CCO", "CCBr"])) + 1 == 3


def test_graphs_are_sampled_in_the_format_of_the_source(cli: Cli, tmp_path: Path):
    path = save(sample(40), tmp_path, GraphSource("graphml"))
    code, _, err = cli(
        "train",
        "data=graphs",
        f"data.path={path}",
        "model=ddpm",
        "model.conditional=true",
        "trainer.sample_every=0",
        *STEPS,
    )
    assert (code, err) == (0, "")
    code, out, err = cli("sample", "run=run", "n=5", "y=dog", "model.sample_steps=3")
    assert (code, err) == (0, "")
    assert "run/samples.zip" in out
    graphs, _ = read_graphs(str(tmp_path / "run" / "samples.zip"))
    assert len(graphs.sizes) == 5
    assert graphs.labels == ["dog"] * 5
    assert {attribute.name for attribute in (*graphs.node, *graphs.edge)} == {"colour", "size", "bond", "length"}
    code, out, err = cli("evaluate", "samples=run/samples.zip", "data=graphs", f"data.path={path}")
    assert (code, err) == (0, "")
    drawn = load("run", sample_steps=2).sample(2, y="cat")
    assert [graph.graph["label"] for graph in drawn] == ["cat", "cat"]


def test_generated_graphs_are_sampled_as_arrays(cli: Cli, tmp_path: Path):
    code, _, err = cli("train", "data=atlas", "data.n=64", "model=vae", "trainer.sample_every=0", *STEPS)
    assert (code, err) == (0, "")
    code, out, err = cli("sample", "run=run", "n=7")
    assert (code, err) == (0, "")
    with np.load(tmp_path / "run" / "samples.npz") as arrays:
        x, sizes = arrays["adjacency"], arrays["sizes"]
    assert x.shape == (7, 7, 7)
    assert (x == x.transpose(0, 2, 1)).all()
    assert 1 <= sizes.min() <= sizes.max() <= 7
    assert "samples.npz" in out
    code, out, err = cli("evaluate", "run=run", "samples=50", "likelihood=5")
    assert (code, err) == (0, "")
    assert "elbo" in out


def test_models_that_take_no_graphs_say_so(cli: Cli):
    for model, message in (("cyclegan", "a CycleGAN does not take graphs"), ("flow", "nodes of a graph have no order")):
        code, _, err = cli("train", "data=atlas", "data.n=8", f"model={model}")
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
