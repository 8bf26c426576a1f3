"""Packed graphs and lengths: shapes, masks, and models that are told what is there."""

import math
import pickle
from typing import Any

import pytest
import torch

from genlab.data.fields import Field
from genlab.data.packed import Packed, pack, presence, unpack
from genlab.data.spec import Spec
from genlab.models.ddpm import DDPM
from genlab.models.given import Given
from genlab.models.vae import VAE

FIELDS = (
    Field("present", "present", part="node"),
    Field("atom", "category", 3, labels=("C", "N", "O"), part="node"),
    Field("bond", "category", 2, labels=("none", "single"), part="edge"),
)
GRAPHS = Spec((), fields=FIELDS, nodes=4)
SERIES = Spec((3, 6), fields=(Field("present", "present"), Field("a"), Field("b")))


def graphs(n: int = 32) -> torch.Tensor:
    """Random graphs of two to four nodes."""
    here = (torch.arange(4) < torch.randint(2, 5, (n, 1))).float()
    atoms = torch.eye(3)[torch.randint(3, (n, 4))]
    kinds = torch.eye(2)[torch.randint(2, (n, 4, 4))]
    x = pack(torch.cat([here[..., None], atoms], dim=2), kinds)
    return x * presence(here, packed(GRAPHS))


def packed(spec: Spec) -> Packed:
    assert isinstance(spec.shape, Packed)
    return spec.shape


def test_packing_is_inverted_and_symmetric():
    shape = packed(GRAPHS)
    assert shape == (4 * 4 + 6 * 2,)
    assert pickle.loads(pickle.dumps(shape)).edge_channels == 2
    x = torch.randn(5, *shape)
    nodes, edges = unpack(x, shape)
    assert nodes.shape == (5, 4, 4)
    assert torch.equal(edges, edges.transpose(1, 2))
    assert not edges.diagonal(dim1=1, dim2=2).any()
    assert torch.equal(pack(nodes, edges), x)
    order = torch.tensor([2, 0, 3, 1])
    moved = pack(nodes[:, order], edges[:, order][:, :, order])
    again = unpack(moved, shape)
    assert torch.equal(again.edges[:, 0, 1], edges[:, 2, 0])


def test_groups_take_whole_fields():
    x = graphs()
    nodes, edges = unpack(x, packed(GRAPHS))
    present, atoms, bonds = (group.of(x) for group in GRAPHS.groups)
    assert torch.equal(present, nodes[:, None, :, 0])
    assert torch.equal(atoms, nodes[..., 1:].transpose(1, 2))
    assert bonds.shape == (32, 2, 6)
    assert torch.equal(bonds[:, :, 0], edges[:, 0, 1])
    assert torch.equal(GRAPHS.each(lambda group, part: part, x), x)
    here = GRAPHS.presence(x)
    assert here is not None
    assert torch.equal(GRAPHS.decode(x) * here, x)
    assert Spec.of(GRAPHS.state()) == GRAPHS
    assert GRAPHS.layout == "graph"


def test_what_is_there_is_given():
    assert sum(GRAPHS.given) == GRAPHS.context == 4
    assert GRAPHS.learnt.shape == (4 * 3 + 6 * 2,)
    x = graphs()
    given = Given(GRAPHS)
    learnt, here = given.split(x)
    assert torch.equal(here, unpack(x, packed(GRAPHS)).nodes[..., 0])
    assert torch.equal(given.join(learnt, here), x)
    assert SERIES.given == (True, False, False)
    assert SERIES.context == 6
    assert Given(SERIES).draw(2).shape == (2, 1, 6)


@pytest.mark.parametrize("spec", [GRAPHS, SERIES])
def test_lengths_and_sizes_have_the_shares_of_training(spec: Spec):
    torch.manual_seed(0)
    if spec is GRAPHS:
        x = graphs(300)
    else:
        here = (torch.arange(6) < torch.randint(2, 7, (300, 1, 1))).float()
        x = torch.cat([here, torch.randn(300, 2, 6) * here], dim=1)
    model: Any = VAE(spec, z_dim=2)
    for step in range(3):
        loss = model.loss({"x": x[100 * step :][:100], "step": torch.tensor(step)}).loss
    assert loss.isfinite()
    drawn = model.sample(2000)
    here = spec.presence(drawn)
    assert here is not None
    assert not drawn[here == 0].any()
    sizes = [model.given.split(each)[1].flatten(1).sum(1) for each in (x, drawn)]
    shares = [torch.bincount(each.long(), minlength=7) / len(each) for each in sizes]
    torch.testing.assert_close(shares[0], shares[1], atol=0.05, rtol=0)


def test_absent_nodes_cost_nothing():
    torch.manual_seed(0)
    model: Any = VAE(GRAPHS, z_dim=2)
    x = graphs(8)
    z = torch.randn(8, model.z_dim)
    before = model.log_likelihood(x, z)
    by_hand = []
    with torch.no_grad():
        raw = model.decoder(torch.cat([z, model.given.split(x)[1]], dim=1))
        nodes, edges = unpack(torch.cat([raw.new_zeros(8, 4), raw], dim=1), packed(GRAPHS))
        own = unpack(x, packed(GRAPHS))
        for b in range(8):
            size = int(own.nodes[b, :, 0].sum())
            total = (own.nodes[b, :size, 1:] * nodes[b, :size, 1:].log_softmax(1)).sum()
            for i in range(size):
                for j in range(i + 1, size):
                    total = total + (own.edges[b, i, j] * edges[b, i, j].log_softmax(0)).sum()
            by_hand.append(total)
    torch.testing.assert_close(before, torch.stack(by_hand))


def test_diffusion_sees_what_is_there_without_noise():
    torch.manual_seed(0)
    seen: list[torch.Tensor] = []

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
            seen.append(x)
            return x * self.weight

    model: Any = DDPM(GRAPHS, net=lambda shape, classes: Net())
    x = graphs(64)
    batch = {"x": x, "step": torch.tensor(0)}
    loss = model.loss(batch).loss
    here = GRAPHS.presence(x)
    assert here is not None
    assert torch.equal(model.given.split(seen[0])[1], model.given.split(x)[1])
    assert not seen[0][here == 0].any()
    assert loss.item() == pytest.approx(1, abs=0.2)  # the mean square of the noise where something is there
    drawn = model.sample(10)
    atoms = GRAPHS.groups[1].of(drawn).sum(1)
    assert torch.equal(atoms, model.given.split(drawn)[1])
    assert math.isfinite(drawn.sum().item())
