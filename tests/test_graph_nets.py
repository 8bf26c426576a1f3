"""Nets for graphs do not depend on the order of nodes, nor on what is not there."""

import itertools
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from genlab.data.packed import Packed, pack, presence, unpack
from genlab.errors import OptionError
from genlab.networks.choice import decoder, encoder
from genlab.networks.denoisers import denoiser
from genlab.networks.edge_transformer import EdgeTransformer
from genlab.networks.gnn import GraphDecoder, GraphEncoder
from genlab.networks.graph_layers import Pairs
from genlab.networks.resnet import translator
from genlab.networks.structure import cycles, structure
from genlab.networks.table import pick

N = 5
SHAPE, LEARNT = Packed(N, 3, 2), Packed(N, 2, 2)
Net = TypeVar("Net", bound=nn.Module)
HERE = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 1, 1, 0]]).double()
ORDER = torch.tensor([3, 1, 4, 0, 2])


def permuted(x: Tensor, shape: Packed) -> Tensor:
    nodes, edges = unpack(x, shape)
    return pack(nodes[:, ORDER], edges[:, ORDER][:, :, ORDER])


def noisy() -> Tensor:
    """Graphs with normal numbers, also where nothing is there."""
    nodes, edges = unpack(torch.randn(3, *SHAPE, dtype=torch.float64), SHAPE)
    nodes[..., 0] = HERE
    return pack(nodes, edges)


def shaken(net: Net) -> Net:
    """Random weights, since new denoisers return 0."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net.double()


def times(x: Tensor) -> Tensor:
    return torch.tensor([0.1, 0.5, 0.9], dtype=x.dtype)


def transformer(structure: bool) -> Callable[[Tensor], Tensor]:
    net = shaken(EdgeTransformer(SHAPE, classes=2, width=16, blocks=2, structure=structure))
    return lambda x: net(x, times(x), torch.tensor([0, 1, 2]))


def nodes_of(x: Tensor) -> Tensor:
    return x[:, :, ORDER]


def net_for(name: str) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """A net on packed graphs, and what a permutation of its input does to its output."""
    if name == "critic":
        return shaken(GraphEncoder(SHAPE, (), (16, 16), norm="layer")), lambda out: out
    if name == "pooled":
        return shaken(GraphEncoder(SHAPE, (7,), (16,))), lambda out: out
    if name == "encoder":
        return shaken(GraphEncoder(SHAPE, (4, N), (16, 8))), nodes_of
    return transformer(name == "structure"), lambda out: permuted(out, SHAPE)


NETS = ("transformer", "structure", "encoder", "critic", "pooled")


@pytest.mark.parametrize("name", NETS)
def test_permuted_inputs_give_permuted_outputs_and_gradients(name: str):
    torch.manual_seed(0)
    net, moved = net_for(name)
    x = noisy().requires_grad_()
    out = net(x)
    assert out.std() > 1e-3
    torch.testing.assert_close(net(permuted(x, SHAPE)), moved(out), rtol=1e-9, atol=1e-9)
    (slope,) = torch.autograd.grad(net(x).square().sum(), x)
    y = permuted(x.detach(), SHAPE).requires_grad_()
    (own,) = torch.autograd.grad(net(y).square().sum(), y)
    torch.testing.assert_close(own, permuted(slope, SHAPE), rtol=1e-8, atol=1e-9)
    there = presence(HERE, SHAPE)
    assert not slope[there == 0].any()  # what is not there has no influence
    assert slope[there == 1].abs().sum() > 0
    assert not slope[:, :N].any()  # and which nodes are there cannot be learnt


@pytest.mark.parametrize("name", NETS)
def test_what_is_not_there_changes_nothing(name: str):
    torch.manual_seed(0)
    net, _ = net_for(name)
    x = noisy()
    torch.testing.assert_close(net(x), net(x * presence(HERE, SHAPE)), rtol=0, atol=0)
    if name in ("transformer", "structure"):
        out = net(x)
        assert not out[presence(HERE, SHAPE) == 0].any()
        assert not out[:, :N].any()
    if name == "encoder":
        assert not net(x).mT[HERE == 0].any()


def test_decoders_are_equivariant_and_see_present_nodes_only():
    torch.manual_seed(0)
    net = shaken(GraphDecoder(3 * N, LEARNT, (16, 16), norm="layer"))
    z = torch.randn(3, 2, N, dtype=torch.float64)

    def decoded(z: Tensor, here: Tensor) -> Tensor:
        return net(torch.cat([z.flatten(1), here], dim=1))

    out = decoded(z, HERE)
    assert out.shape == (3, *LEARNT)
    torch.testing.assert_close(decoded(z[:, :, ORDER], HERE[:, ORDER]), permuted(out, LEARNT), rtol=1e-9, atol=1e-9)
    assert torch.equal(decoded(z * HERE[:, None], HERE), out)
    assert not out[presence(HERE, LEARNT) == 0].any()
    one = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(decoded(one, HERE)[1, -1], one)  # an edge between two nodes depends on all others
    assert slope[1].abs().sum(0).all()
    assert not slope[0].any()


def test_pairs_agree_with_loops():
    torch.manual_seed(0)
    pairs = Pairs(4)
    h, e = torch.randn(2, 4, 3), torch.randn(2, 6, 3)
    found = list(itertools.combinations(range(4), 2))
    full = pairs.squared(e)
    at = torch.zeros(2, 4, 3)
    for m, (i, j) in enumerate(found):
        torch.testing.assert_close(pairs.of_nodes(h, e)[:, m], h[:, i] + h[:, j] + e[:, m])
        torch.testing.assert_close(pairs.products(h)[:, m], h[:, i] * h[:, j])
        assert torch.equal(full[:, i, j], e[:, m])
        assert torch.equal(full[:, j, i], e[:, m])
        at[:, i] += e[:, m] / 4
        at[:, j] += e[:, m] / 4
    torch.testing.assert_close(pairs.at_nodes(e), at)
    assert not full.diagonal(dim1=1, dim2=2).any()
    assert torch.equal(pairs.of_square(full.permute(0, 3, 1, 2)), e)


def simple(n: int, share: float) -> Tensor:
    upper = (torch.rand(n, n) < share).double().triu(1)
    return upper + upper.T


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_cycles_are_counted(share: float):
    torch.manual_seed(0)
    a = simple(6, share)
    expected = torch.zeros(6, 3, dtype=torch.float64)
    for k in (3, 4, 5):
        for around in itertools.permutations(range(6), k):
            once = around[0] == min(around) and around[1] < around[-1]  # each cycle from one end, in one direction
            if once and all(a[i, j] for i, j in itertools.pairwise((*around, around[0]))):
                expected[list(around), k - 3] += 1
    torch.testing.assert_close(cycles(a[None])[0], expected)


def test_walks_tell_components_apart():
    a = torch.block_diag(simple(3, 1.0), simple(2, 1.0))
    found = structure(a[None])
    assert not found.pairs[0, :, :3, 3:].any()
    assert (found.pairs[0, 1:, :3, :3] > 0).all()
    torch.testing.assert_close(found.graph[0, 0], torch.tensor(2.0).double().log())  # one triangle
    alone = structure(torch.zeros(1, 3, 3))
    assert all(part.isfinite().all() and not part.any() for part in alone)


@pytest.mark.parametrize("shape", [Packed(4, 1, 2), Packed(4, 3, 0), Packed(4, 2, 1)], ids=["bare", "set", "weights"])
def test_every_parameter_is_trained(shape: Packed):
    """Nodes without labels and sets without edges leave no layer without a gradient."""
    torch.manual_seed(0)
    x = torch.randn(3, *shape)
    x[:, :4] = 1.0
    learnt = Packed(4, shape.node_channels - 1, shape.edge_channels)
    nets = [(denoiser(shape, width=8), (x, torch.rand(3))), (encoder(shape, ()), (x,)), (encoder(shape, (2, 4)), (x,))]
    nets.append((decoder(12, learnt), (torch.ones(3, 12),)))
    for net, inputs in nets:
        out = net(*inputs)
        slopes = torch.autograd.grad(out.sum(), list(net.parameters()))
        assert len(slopes) == len(list(net.parameters()))


def test_zero_graphs_have_finite_outputs():
    x = torch.zeros(2, *SHAPE)
    for net in (shaken(EdgeTransformer(SHAPE, width=8)).float(), encoder(SHAPE, ()), encoder(SHAPE, (2, N))):
        out = net(x, torch.rand(2)) if isinstance(net, EdgeTransformer) else net(x)
        assert out.isfinite().all()


def test_nets_are_picked_by_role_and_wrong_ones_are_refused():
    assert pick("decoder", "auto", SHAPE) == pick("encoder", "auto", SHAPE) == "gnn"
    assert pick("denoiser", "auto", SHAPE) == "edge_transformer"
    assert isinstance(denoiser(SHAPE), EdgeTransformer)
    assert isinstance(encoder(SHAPE, spectral=True), GraphEncoder)
    assert denoiser(SHAPE, net="mlp")(torch.zeros(2, *SHAPE), torch.rand(2)).shape == (2, *SHAPE)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: translator(SHAPE), "no net translates graphs"),
        (lambda: pick("flow", "auto", SHAPE), "the nodes of a graph have no order"),
        (lambda: encoder((2,), net="gnn"), r"gnn takes graphs, not samples of shape \(2,\)"),
        (lambda: denoiser((1, 8, 8), net="edge_transformer"), "edge_transformer takes graphs"),
        (lambda: denoiser(SHAPE, width=12), "width: must be a multiple of 8"),
        (lambda: denoiser(Packed(N, 2, 0), structure=True), "structure: these graphs have no edges"),
        (lambda: encoder(SHAPE, norm="batch"), "norm: batch does not apply to graphs"),
        (lambda: decoder(7, LEARNT), "not 7 numbers"),
        (lambda: decoder(10, LEARNT, hidden=()), "at least one layer"),
    ]
    for build, message in wrong:
        with pytest.raises(OptionError, match=message):
            build()
