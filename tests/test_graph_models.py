"""Families on graphs: DiGress, codes of nodes, given nodes, and refusals."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from conftest import graphs
from torch import Tensor, nn

from genlab.data.fields import Field, one_hot
from genlab.data.packed import Packed, pack, presence, unpack
from genlab.data.spec import Spec
from genlab.errors import UserError
from genlab.models.autoencoder import Autoencoder
from genlab.models.base import Family
from genlab.models.boltzmann import Boltzmann
from genlab.models.ctgan import CTGAN
from genlab.models.cyclegan import CycleGAN
from genlab.models.ddpm import DDPM
from genlab.models.digress import DiGress
from genlab.models.flow import Flow
from genlab.models.gan import GAN
from genlab.models.latent_diffusion import LatentDiffusion
from genlab.models.multinomial import backward, blurred, mixed, reached
from genlab.models.tabddpm import TabDDPM
from genlab.models.vae import VAE
from genlab.networks.denoisers import denoiser
from genlab.networks.edge_transformer import EdgeTransformer

SPEC = graphs().spec
SHARES = torch.tensor([0.5, 0.3, 0.2])


def shape_of(spec: Spec) -> Packed:
    assert isinstance(spec.shape, Packed)
    return spec.shape


def batch(n: int = 16) -> dict[str, Tensor]:
    return {"x": graphs().head("train", n)["x"], "step": torch.tensor(0)}


def test_backward_and_mixed_follow_from_bayes_rule():
    """q(x_s|x_t, x_0) and p(x_s|x_t), summed by hand over the categories."""
    bar_s, bar_t = 0.6, 0.2
    m = SHARES[None]
    step = bar_t / bar_s * torch.eye(3) + (1 - bar_t / bar_s) * m  # q(x_t|x_s), rows x_s
    whole = bar_t * torch.eye(3) + (1 - bar_t) * m
    torch.testing.assert_close(blurred(torch.eye(3), bar_s, m) @ step, whole)  # two steps are one
    guess = torch.tensor([[0.7, 0.2, 0.1]])
    for k in range(3):
        x_t = torch.eye(3)[k : k + 1]
        torch.testing.assert_close(reached(x_t, bar_t / bar_s, m)[0], step[:, k])
        total = torch.zeros(3)
        for x_0 in range(3):
            first = torch.eye(3)[x_0 : x_0 + 1]
            by_hand = step[:, k] * blurred(first, bar_s, m)[0] / whole[x_0, k]
            torch.testing.assert_close(backward(x_t, first, bar_s, bar_t, m)[0], by_hand)
            total += guess[0, x_0] * by_hand
        torch.testing.assert_close(mixed(x_t, guess, bar_s, bar_t, m)[0], total)


def test_noise_leads_from_a_graph_to_the_shares_of_training():
    torch.manual_seed(0)
    model = DiGress(SPEC)
    x = graphs(400).head("train", 400)["x"]
    model.loss({"x": x, "step": torch.tensor(0)})
    here = SPEC.presence(x)
    assert here is not None
    for group, share in model.shares().items():
        own = group.of(x).sum((0, 2)) / group.of(here)[:, :1].sum()
        torch.testing.assert_close(share[0, :, 0], own)
    one = x[:1].expand(3000, -1)
    for bar in (1.0, 0.4, 0.0):
        x_t = model.noised(one, -torch.empty_like(one).exponential_().log(), torch.full((3000,), bar))
        assert torch.equal(SPEC.presence(x_t), SPEC.presence(one))  # type: ignore[arg-type]
        for group, share in model.shares().items():
            expected = blurred(group.of(one[:1]), bar, share)[0] * group.of(here[:1])[0]
            torch.testing.assert_close(group.of(x_t).mean(0), expected, atol=0.04, rtol=0)


def test_the_bound_is_the_entropy_when_the_net_knows_the_answer():
    """Independent nodes and edges of shares m: p(x_0|x_t) ∝ m(x_0) q(x_t|x_0), and the reverse process is exact."""
    torch.manual_seed(0)

    class Exact(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zero = nn.Parameter(torch.zeros(()))
            self.model: list[DiGress] = []

        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            (model,) = self.model
            bar = model.bars[(t * model.timesteps).round().long()].view(-1, 1, 1)
            shares = model.shares()

            def rule(group: Any, part: Tensor) -> Tensor:
                if group not in shares:
                    return part
                return (shares[group] * reached(part, bar, shares[group])).clamp(min=1e-20).log()

            return SPEC.each(rule, x) + self.zero

    model = DiGress(SPEC, timesteps=20, sample_steps=20, net=lambda shape, classes: Exact())
    model.net.model = [model]  # type: ignore[assignment]
    model.counts.copy_(torch.tensor([7.0, 3.0, 5.0, 3.0, 2.0]))
    here = (torch.arange(5) < torch.randint(3, 6, (2000, 1))).float()
    x = torch.cat([here, torch.zeros(2000, SPEC.shape[0] - 5)], dim=1)
    x = model.complete(x, model.given.mask.expand_as(x))  # type: ignore[union-attr]
    nodes = here.sum(1)
    entropies = [-(p * p.log()).sum() for p in (torch.tensor([0.7, 0.3]), SHARES)]
    expected = -(nodes * entropies[0] + nodes * (nodes - 1) / 2 * entropies[1]).mean().item()
    full = model.elbo(x, 20)
    assert full.mean().item() == pytest.approx(expected, abs=4 * full.std().item() / math.sqrt(2000))
    some = torch.stack([model.elbo(x, 3) for _ in range(5)]).mean(0)
    assert some.mean().item() == pytest.approx(expected, abs=0.25)


def equal_labels(n: int) -> Tensor:
    """Graphs whose edges join exactly the nodes with equal labels."""
    here = (torch.arange(4) < torch.randint(3, 5, (n, 1))).float()
    atoms = one_hot(torch.rand(n, 2, 4)).transpose(1, 2)
    alike = (atoms[:, :, None] * atoms[:, None]).sum(3)
    x = pack(torch.cat([here[..., None], atoms], dim=2), torch.stack([1 - alike, alike], dim=3))
    return x * presence(here, Packed(4, 3, 2))


def test_digress_learns_which_nodes_are_joined():
    torch.manual_seed(0)
    fields = tuple(field._replace(size=2, labels=()) if field.size > 1 else field for field in SPEC.fields)
    spec = Spec((), fields=fields, nodes=4)
    net = partial(denoiser, width=16, blocks=2, structure=True)
    model = DiGress(spec, timesteps=50, sample_steps=25, net=net)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(150):
        loss = model.loss({"x": equal_labels(32), "step": torch.tensor(step)}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    x = model.sample(300)
    nodes, edges = unpack(x, shape_of(spec))
    here = nodes[..., 0]
    assert set(here.sum(1).tolist()) == {3.0, 4.0}
    assert torch.equal(nodes[..., 1:].sum(2), here)
    alike = (nodes[:, :, None, 1:] * nodes[:, None, :, 1:]).sum(3)
    there = edges.sum(3)
    right = ((edges[..., 1] == alike) * there).sum() / there.sum()
    assert right > 0.8  # chance: one half
    assert 0.4 < (nodes[..., 1].sum() / here.sum()) < 0.6


def test_codes_of_absent_nodes_cost_nothing():
    torch.manual_seed(0)
    model = VAE(SPEC, z_dim=3)
    assert model.z_dim == 15
    x = batch()["x"]
    mean, log_variance = model.posterior(x)
    here = unpack(x, shape_of(SPEC)).nodes[:, None, :, 0]
    for part in (mean, log_variance):
        assert not (part.unflatten(1, (3, 5)) * (1 - here)).any()  # so that q is N(0, I), and its KL 0
        assert (part.unflatten(1, (3, 5)) != 0).any(1)[here[:, 0] > 0].all()
    torch.manual_seed(1)
    first = model.elbo(x, 2)
    assert first.shape == (16,)
    assert first.isfinite().all()


def test_the_prior_of_codes_is_a_model_of_graphs_without_edges():
    torch.manual_seed(0)
    model = LatentDiffusion(SPEC, own=lambda spec: VAE(spec, z_dim=3))
    prior: Any = model.prior
    assert prior.spec.layout == "graph"
    assert prior.spec.shape == (5 * 4,)
    assert isinstance(prior.net, EdgeTransformer)
    model.loss(batch())
    model.eval()
    given = torch.tensor([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    x = model.sample(2, given=given)
    assert torch.equal(model.given.split(x)[1], given)  # type: ignore[union-attr]


def test_generated_graphs_are_nearly_one_hot_and_absent_nodes_are_zero():
    torch.manual_seed(0)
    model = GAN(SPEC, z_dim=4, instance_noise=0.5, minibatch=2, replay=8)
    assert model.z_dim == 20
    for phase in model.phases():
        assert phase.loss(batch()).loss.isfinite()
    x = model.sample(100)
    here = SPEC.presence(x)
    assert here is not None
    assert not x[here == 0].any()
    for group in SPEC.groups[1:]:
        torch.testing.assert_close(group.of(x).sum(1), group.of(here)[:, 0])
    assert x.max(1).values.mean() > 0.8
    noisy = model.noisy(x.detach(), {"step": torch.tensor(0)})
    assert torch.equal(noisy[:, :5], x[:, :5])  # D always knows which nodes are there
    assert not noisy[here == 0].any()


def test_the_range_of_training_is_the_same_for_all_nodes():
    model = DDPM(SPEC)
    model.loss(batch())
    assert set(model.highest.tolist()) == {1.0}
    fields = (Field("present", "present", part="node"), Field("x", size=2, part="node"))
    points = DDPM(Spec((), fields=fields, nodes=3))
    x = torch.tensor([[1.0, 1, 0, 3, -5, 0, 1, 2, 0]])
    points.loss({"x": x, "step": torch.tensor(0)})
    assert points.highest.tolist() == [1, 1, 1, 3, 3, 3, 2, 2, 2]
    assert points.lowest.tolist() == [0, 0, 0, -5, -5, -5, 0, 0, 0]


@pytest.mark.parametrize("family", [DDPM, DiGress])
def test_conditional_models_are_told_the_class_and_the_nodes(family: Callable[..., Any]):
    torch.manual_seed(0)
    seen: list[Tensor] = []

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            assert y is not None
            seen.append(y)
            return x * self.weight

    spec = Spec((), 3, SPEC.fields, nodes=5)
    model = family(spec, conditional=True, sample_steps=2, net=lambda shape, classes: Net())
    model.loss(batch() | {"y": torch.zeros(16, dtype=torch.int64)})
    model.eval()
    seen.clear()
    y = torch.tensor([2, 0, 1])
    assert model.sample(3, y).shape == (3, *spec.shape)
    assert all(torch.equal(each, y) for each in seen)
    assert len(seen) >= 2


def test_models_that_do_not_fit_say_why():
    reals = Spec((), fields=(*SPEC.fields, Field("length", part="edge")), nodes=5)
    wrong: list[tuple[Callable[..., Family], Spec, str]] = [
        (Flow, SPEC, "the nodes of a graph have no order; use digress, ddpm or vae"),
        (CycleGAN, SPEC, "a CycleGAN does not take graphs; use ddpm"),
        (Boltzmann, SPEC, "learns from an energy of points, not from graphs"),
        (CTGAN, SPEC, "takes tables of typed columns only"),
        (TabDDPM, SPEC, "takes tables of typed columns only"),
        (DiGress, Spec((2,)), "digress takes graphs only"),
        (DiGress, reals, "takes categories only, not graphs of present and category and real; use flow_matching"),
        (lambda spec: DiGress(spec, sample_steps=1000), SPEC, r"must be between 1 and timesteps \(500\)"),
        (lambda spec: GAN(spec, packing=2), SPEC, "packing: a discriminator of graphs sees one graph at a time"),
        (lambda spec: GAN(spec, conditional=True), Spec((), 2, SPEC.fields, nodes=5), "conditional: a discriminator"),
        (Autoencoder, Spec((2, 6), fields=(Field("present", "present"), Field("a"))), "does not take series"),
    ]
    for family, spec, message in wrong:
        with pytest.raises(UserError, match=message) as caught:
            family(spec)
        assert "\n" not in str(caught.value)
    model = DiGress(SPEC)
    x = batch()["x"]
    with pytest.raises(UserError, match="which nodes are there, and nothing else"):
        model.complete(x, torch.ones_like(x, dtype=torch.bool))
