"""The pool of past fakes and CycleGAN, against their definitions."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import moons, noise

from genlab.config import build
from genlab.config.compose import compose
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.pairs import Pairs
from genlab.errors import UserError
from genlab.metrics.translation import mean_distance, translation
from genlab.models.cyclegan import CycleGAN
from genlab.networks.past_samples import PastSamples
from genlab.networks.resnet import LARGE, patches, translator
from genlab.plots.images import rows
from genlab.plots.snapshots import snapshot
from genlab.trainer.execution.updates import make_optimizer, make_update
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options
from genlab.trainer.validate import validation_losses

CPU = torch.device("cpu")


def small(data: Pairs, **options) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(
        data.spec,
        generator=partial(translator, hidden=[8], width=4, blocks=1),
        discriminator=partial(patches, hidden=[8], width=4),
        **options,
    )


def trainer(data: Pairs, steps: int, **options) -> Trainer:
    model = small(data, pool=10, **options)
    adam = {phase.name: partial(torch.optim.Adam, lr=1e-3) for phase in model.phases()}
    quiet = Options(steps=steps, batch_size=4, log_every=1, sample_every=0, evaluate_every=2, device="cpu")
    return Trainer(model, data, adam, quiet, seed=3)


# The pool


def one_by_one(pool: list, capacity: int, batch: list, slots: list, coins: list) -> list:
    """Applies the pool's definition to one sample at a time."""
    shown = []
    for new, slot, swap in zip(batch, slots, coins, strict=True):
        if len(pool) < capacity:
            pool.append(new)
            shown.append(new)
        elif swap:
            shown.append(pool[slot])
            pool[slot] = new
        else:
            shown.append(new)
    return shown


@pytest.mark.parametrize(("capacity", "size"), [(5, 1), (5, 3), (5, 17), (50, 16)])
def test_pool_matches_a_loop_over_single_samples(capacity, size):
    generator = torch.Generator().manual_seed(0)
    pool, slow, fed = PastSamples((1,), capacity), [], 0
    for _ in range(12):
        x = torch.arange(fed, fed + size, dtype=torch.float32)[:, None]
        slot = torch.randint(capacity, (size,), generator=generator)
        swap = torch.rand(size, generator=generator) < 0.5
        shown, _ = pool.exchange(x, None, slot, swap)
        expected = one_by_one(slow, capacity, x[:, 0].tolist(), slot.tolist(), swap.tolist())
        assert shown[:, 0].tolist() == expected
        assert pool.stored[: len(slow), 0].tolist() == slow
        assert pool.count.item() == len(slow)
        fed += size


def test_pool_returns_the_first_fifty_and_then_old_samples_half_of_the_time():
    torch.manual_seed(0)
    pool, first = PastSamples((2,), 50), torch.randn(50, 2)
    assert torch.equal(pool(first)[0], first)
    assert torch.equal(pool.stored, first)
    same = 0
    for _ in range(400):
        x = torch.randn(4, 2)
        same += (pool(x)[0] == x).all(1).sum().item()
    assert abs(same / 1600 - 0.5) < 0.05  # four standard errors of a fair coin
    assert torch.equal(PastSamples((2,), 0)(first)[0], first)


# The family


@pytest.mark.parametrize("data", [moons(), Pairs(noise())], ids=["points", "images"])
def test_each_phase_updates_only_its_own_modules(data):
    model = small(data).train()
    carried = {}
    for phase in model.phases():
        before = {name: p.clone() for name, p in model.named_parameters()}
        optimizer = make_optimizer(phase, partial(torch.optim.SGD, lr=0.1), CPU)
        update = make_update(phase, optimizer, Options(device="cpu"), CPU)
        _, (new,) = update([data.batch("train", torch.arange(4)) | carried])
        carried |= new
        moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert moved == {phase.name}
    assert set(carried) == {"fake_a", "fake_b"}


def test_losses_match_the_paper():
    """Computes the losses by hand for G(x) = x + 1, F(x) = x - 2 and D(x) = the first coordinate."""
    data = moons()
    model = small(data, identity=0.5)

    class Map(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function, self.unused = function, torch.nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return self.function(x)

    model.generators["b"], model.generators["a"] = Map(lambda x: x + 1), Map(lambda x: x - 2)
    model.discriminators["a"] = model.discriminators["b"] = Map(lambda x: x[:, 0])
    a, b = torch.randn(8, 2), torch.randn(8, 2)
    out = model.generators_loss({"a": a, "b": b})
    adversarial = (a[:, 0] + 1 - 1).square().mean() + (b[:, 0] - 2 - 1).square().mean()
    torch.testing.assert_close(out.logs["adversarial"], adversarial)
    torch.testing.assert_close(out.logs["cycle"], torch.tensor(2.0))  # |1 - 2| either way
    torch.testing.assert_close(out.logs["identity"], torch.tensor(3.0))  # |b + 1 - b| + |a - 2 - a|
    torch.testing.assert_close(out.loss, adversarial + 10 * 2.0 + 10 * 0.5 * 3.0)
    fakes = out.carry
    judged = model.eval().discriminators_loss({"a": a, "b": b} | fakes)
    halves = [(r[:, 0] - 1).square().mean() + f[:, 0].square().mean() for r, f in ((a, b - 2), (b, a + 1))]
    torch.testing.assert_close(judged.loss, 0.5 * sum(halves))


def test_generators_of_points_start_as_the_identity():
    data = moons()
    x = data.head("test", 9)["a"]
    model = small(data)
    assert torch.equal(model.translate(x), x)
    assert torch.equal(model.translate(x, "a"), x)
    with pytest.raises(UserError, match="to: 'c'"):
        model.translate(x, "c")


@pytest.mark.parametrize("side", [28, 32, LARGE])
def test_the_translator_keeps_the_shape_and_the_discriminator_sees_patches(side):
    x = torch.randn(2, 3, side, side, requires_grad=True)
    assert translator((3, side, side), width=4)(x).shape == x.shape
    logits = patches((3, side, side), width=4)(x)
    assert logits.dim() == 3
    assert min(logits.shape[1:]) >= 5
    # One logit in the middle sees a patch, whose side is the receptive field.
    net = patches((3, side, side), width=4)
    for norm in [m for m in net.modules() if isinstance(m, torch.nn.InstanceNorm2d)]:
        norm.forward = lambda input: input  # its statistics cover the whole image
    middle = net(x)[0, logits.shape[1] // 2, logits.shape[2] // 2]
    seen = torch.autograd.grad(middle, x)[0][0].abs().sum((0, 1)) > 0
    assert seen.sum().item() == (34 if side == LARGE else 16)
    with pytest.raises(UserError, match="divide by 4"):
        translator((3, 30, 30), net="resnet")


def test_validation_does_not_change_the_pool():
    run = trainer(moons(), steps=3)
    for _ in range(3):
        run.train_step()
    before = {name: b.clone() for name, b in run.family.named_buffers()}
    assert before["pools.a.count"] == 10  # full, after 12 fakes
    with run._model() as model:
        validation_losses(model, run.data, 4)
    validation_losses(run.family.eval(), run.data, 4)
    assert all(torch.equal(b, before[name]) for name, b in run.family.named_buffers())


@pytest.mark.parametrize("data", [moons, lambda: Pairs(noise())], ids=["points", "images"])
def test_resume_is_exact_with_the_pool(data, tmp_path):
    straight = trainer(data(), steps=7)
    straight.fit()
    first = trainer(data(), steps=3)
    first.fit()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = trainer(data(), steps=7)
    second.load_state_dict(torch.load(tmp_path / "state.pt"))
    second.fit()
    expected, resumed = straight.family.state_dict(), second.family.state_dict()
    assert expected["pools.b.count"] == 10
    assert expected["pools.b.stored"].abs().sum() > 0
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)
    assert straight.ema
    assert second.ema
    twin = second.ema.model.state_dict()
    assert all(torch.equal(value, twin[key]) for key, value in straight.ema.model.state_dict().items())


def test_cyclegan_learns_a_known_transform():
    """On the two moons, the translation error falls far below that of doing nothing."""
    data = Pairs(Gaussian2D("moons", n=2000))
    torch.manual_seed(0)
    model = CycleGAN(
        data.spec,
        "non_saturating",
        cycle=1.0,
        generator=partial(translator, hidden=[64], activation="silu"),
        discriminator=partial(patches, hidden=[64]),
    )
    adam = partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.999))
    options = Options(steps=400, batch_size=64, log_every=0, sample_every=0, evaluate_every=0, device="cpu", ema=0.98)
    run = Trainer(model, data, dict.fromkeys(("generators", "discriminators"), adam), options)
    run.fit()
    assert run.ema
    x = data.head("test", 1000)["a"]
    with torch.no_grad():
        translated = run.ema.model.translate(x, "b")  # pyright: ignore[reportCallIssue]
    assert mean_distance(translated, data.transform(x)) < 0.4 * mean_distance(x, data.transform(x))


# Measures, pictures, commands


def test_translation_measures_match_values_by_hand():
    x = torch.zeros(6, 2)
    translated = x + torch.tensor([3.0, 4.0])
    values = translation(x, translated, x, translated, truth=x)
    assert values["eval/translation_error"] == 5.0  # Euclidean for points
    assert values["eval/cycle_error"] == values["eval/identity_error"] == values["eval/sliced_w2"] == 0.0
    assert "eval/translation_error" not in translation(x, translated, x, translated, truth=None)
    assert mean_distance(torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), 0.25)) == 0.25  # per pixel for images
    with pytest.raises(ValueError, match="shapes"):
        mean_distance(x, x[:3])


def test_translations_are_drawn_in_groups_of_two_rows():
    first, second = torch.zeros(5, 1, 4, 4), torch.ones(5, 1, 4, 4)
    picture = rows(first, second, columns=2)  # two full groups of two rows; the fifth image is left out
    assert picture.shape == (4 * 5 + 1, 2 * 5 + 1, 3)
    assert [picture[1 + 5 * i, 1, 0] for i in range(4)] == [0, 255, 0, 255]
    for data in (moons(), Pairs(noise())):
        assert set(snapshot(small(data), data)) == {"translations"}


@pytest.fixture
def config():
    return lambda *overrides: compose("train", overrides)


def test_sample_draws_translations_and_cycles(config, tmp_path):
    from genlab.commands.sample import draw, picture
    from genlab.runs.folder import Run

    run = Run(tmp_path)
    run.write_config(config("model=cyclegan", "name=x"))
    data = build.data(run.read_config())
    assert isinstance(data, Pairs)
    model = small(data).eval()
    arrays = draw(model, 11, run)
    x = data.head("test", 11)["a"]
    assert set(arrays) == {"samples", "originals", "cycles"}
    assert torch.equal(arrays["originals"], x)
    assert torch.equal(arrays["samples"], model.translate(x, "b"))
    shown = picture(arrays, model, run)
    assert shown is not None
    assert shown.dtype == np.uint8
