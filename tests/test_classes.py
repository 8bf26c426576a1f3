"""Classes are drawn, evaluated and shown in the data's proportions, selected by name, and never drawn unseen."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from closed_forms import small
from conftest import blobs, config
from torch import Tensor, nn

from genlab.commands.classes import asked_for
from genlab.commands.sample import real_rows
from genlab.config import build
from genlab.data.base import Dataset, Spec, Split
from genlab.errors import UserError
from genlab.evaluation.evaluate import Plan, evaluate
from genlab.evaluation.report import Report
from genlab.evaluation.training import evaluator
from genlab.metrics.classes import class_balance, class_shares
from genlab.metrics.features import FeatureNet
from genlab.metrics.images import Reference
from genlab.models.base import Family
from genlab.models.ddpm import DDPM
from genlab.models.gan import GAN
from genlab.models.labels import ClassPrior
from genlab.models.latent_diffusion import LatentDiffusion
from genlab.models.vae import VAE
from genlab.plots.images import classes_in_turn

COUNTS = (90, 0, 10)  # training samples per class: the middle class has none


def imbalanced(n: int = 1000) -> Dataset:
    """Returns points near (0, 0), and one in ten near (9, 9); validation and test have a class that training lacks."""

    def split(seed: int, unseen: int = 0) -> Split:
        g = torch.Generator().manual_seed(seed)
        y = torch.where(torch.rand(n, generator=g) < 0.1, 2, 0)
        y[:unseen] = 1
        return Split(9.0 * (y == 2)[:, None] + torch.randn(n, 2, generator=g), y)

    splits = {"train": split(0), "validation": split(1, unseen=3), "test": split(2, unseen=3)}
    return Dataset("imbalanced", splits, "real", classes=3, labels=("common", "absent", "rare"))


class Oracle(Family):
    """A family that samples the true distribution of each class it is asked for."""

    conditional = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.idle = nn.Parameter(torch.zeros(()))
        self.class_prior = ClassPrior(spec)
        self.asked: list[Tensor] = []

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        y = self.draw_labels(n) if y is None else y
        assert y is not None
        self.asked.append(y)
        return 9.0 * (y == 2)[:, None] + torch.randn(n, 2)


def test_uneven_classes_are_evaluated_in_their_proportions():
    data = imbalanced()
    family, report = Oracle(data.spec), Report(source="here")
    torch.manual_seed(0)
    evaluate(family, data, Plan(samples=1000), None, report)
    assert report.measures["ks_x"].value < 0.08  # with equal shares it would be 0.4
    values = evaluator(data, torch.device("cpu"), 0)(family)
    assert values["eval/sliced_w2"] < 0.5
    asked = torch.cat(family.asked)
    assert (asked != 1).all()
    assert (asked == 2).double().mean().item() == pytest.approx(0.1, abs=0.03)


def test_labels_of_a_split_are_repeated_if_more_are_requested():
    y = torch.tensor([0, 2, 0])
    x = torch.zeros(3, 2)
    data = Dataset("few", dict.fromkeys(("train", "validation", "test"), Split(x, y)), "real", classes=3)
    assert data.spec.counts == (2, 0, 1)
    y_repeated = data.labels("test", 7)
    assert y_repeated is not None
    assert y_repeated.tolist() == [0, 2, 0, 0, 2, 0, 0]
    plain = Dataset("none", dict.fromkeys(("train", "validation", "test"), Split(x)), "real")
    assert plain.labels("test", 7) is None


def test_families_draw_classes_in_proportion_and_never_an_unseen_one():
    spec = Spec((2,), 3, counts=COUNTS)
    torch.manual_seed(0)
    gan, ddpm = GAN(spec, conditional=True), DDPM(spec, conditional=True, net=small)
    latent = LatentDiffusion(
        spec, own=lambda s: VAE(s, z_dim=2), prior=lambda s: DDPM(s, conditional=True, net=small, sample_steps=2)
    )
    assert latent.conditional
    for drawn in (gan.draw_labels(4000), gan.fake_labels(4000), ddpm.labels(4000, None), latent.draw_labels(4000)):
        assert drawn is not None
        counts = drawn.bincount(minlength=3) / 4000
        assert counts[1] == 0
        assert counts[2].item() == pytest.approx(0.1, abs=0.03)
    assert set(classes_in_turn(gan, 6).tolist()) == {0, 2}  # type: ignore[union-attr]
    even = ClassPrior(Spec((2,), 4)).draw(4000).bincount(minlength=4) / 4000
    torch.testing.assert_close(even, torch.full((4,), 0.25), atol=0.03, rtol=0)


def test_the_score_of_a_conditional_critic_weights_classes_by_their_shares():
    torch.manual_seed(0)
    gan, x = GAN(Spec((2,), 3, counts=COUNTS), conditional=True).eval(), torch.randn(5, 2)
    logits = [gan.discriminator(x, torch.full((5,), k)) for k in range(3)]
    torch.testing.assert_close(gan.score(x), 0.9 * logits[0] + 0.1 * logits[2])


def test_class_balance_of_images_is_measured_against_the_real_shares():
    logits = torch.eye(3)[torch.tensor([0] * 94 + [1] * 5 + [2])]
    real = class_shares(logits)
    assert (class_balance(logits, real=real).covered, class_balance(logits, real=real).kl) == (3, 0.0)
    assert class_balance(logits).covered == 1  # against equal shares, a correct model would seem to miss two classes
    even = torch.eye(3).repeat(30, 1)
    assert class_balance(even, real=real).kl == pytest.approx(
        sum(p * np.log(p / q) for p, q in zip([1 / 3] * 3, real.tolist(), strict=True))
    )
    images = torch.rand(30, 1, 6, 6)

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.scale * x.mean((1, 3)), x.mean((1, 3))[:, :3]

    net = FeatureNet("rows", Rows(), balanced=True)
    reasons: dict[str, str] = {}
    assert "balance" not in Reference(images, None, net, even=False).judge(images, reasons=reasons)
    assert "not even" in reasons["balance"]
    assert "balance" in Reference(images, None, net).judge(images)


def test_a_class_can_be_requested_by_name_or_number():
    def numbers(spec: Spec, y: str | int | None, n: int = 4) -> list[int]:
        labels_drawn = asked_for(Oracle(spec), n, y)
        assert labels_drawn is not None
        return labels_drawn.tolist()

    named = Spec((2,), 3, labels=("cat", "dog", "each"), counts=(5, 5, 5))
    assert numbers(named, "dog") == [1] * 4
    assert numbers(named, 0) == [0] * 4  # a number, because no class has that name
    assert numbers(named, "each") == [2] * 4  # a class of that name takes precedence
    for labels, y, k in ((("1", "2", "3"), 1, 0), (("01", "02", "1"), "01", 0), (("0", "10", "2"), 2, 2)):
        assert numbers(Spec((2,), 3, labels=labels, counts=(5, 5, 5)), y) == [k] * 4
    assert numbers(Spec((2,), 3, counts=COUNTS), "each") == [0, 2, 0, 2]
    for spec, y, words in (
        (named, "dgo", "did you mean 'dog'"),
        (named, 3, "the classes are cat, dog, each"),
        (Spec((2,), 3, labels=("1", "2", "3")), 0, "'0' is not a class"),  # not an index: names are numbers
        (Spec((2,), 3), 3, "the classes are 0 to 2"),
        (Spec((2,), 3, labels=("a", "b", "c"), counts=COUNTS), "b", "no training sample of class 'b'"),
    ):
        with pytest.raises(UserError, match=words):
            asked_for(Oracle(spec), 4, y)


def test_samples_of_one_class_are_plotted_over_real_rows_of_that_class():
    data = imbalanced()
    arrays = {"labels": torch.full((5,), 2)}
    assert real_rows(data, 200, arrays, "rare").mean() > 8
    assert len(real_rows(data, 200, arrays, "rare")) < 50
    assert len(real_rows(data, 200, arrays, "each")) == len(real_rows(data, 200, arrays, None)) == 200


def test_classes_and_their_counts_are_printed_and_stored_with_the_samples(cli, tmp_path: Path):
    rows = [(f"{i % 7}", f"{i * i % 11}", "rare" if i % 10 == 0 else "common") for i in range(100)]
    with open("t.csv", "w", newline="") as file:
        csv.writer(file).writerows([("a", "b", "kind"), *rows])
    quick = ("trainer.steps=2", "trainer.device=cpu", "trainer.evaluate_every=0", "trainer.sample_every=0")
    data = ("data=array", "data.path=t.csv", "data.label=kind")
    code, out, err = cli(
        *("train", "model=ddpm", "model.conditional=true", "model.sample_steps=2", *data, *quick, "hydra.run.dir=run")
    )
    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("classes: "))
    common, rare = (int(word.rstrip(",")) for word in line.split()[2::2])
    assert common + rare == 80
    assert cli("sample", "run=run", "n=200")[0] == 0
    with np.load("run/samples.npz") as stored:
        assert stored["classes"].tolist() == ["common", "rare"]
        assert stored["class_counts"].tolist() == [common, rare]
        assert 5 < (stored["labels"] == 1).sum() < 40
    assert cli("sample", "run=run", "n=5", "y=rare")[0] == 0
    rows = [line.split(",") for line in Path("run/samples.csv").read_text().splitlines()]
    assert [row[-1] for row in rows[1:]] == ["rare"] * 5
    code, _, err = cli("sample", "run=run", "y=rrae")
    assert (code, err.count("\n")) == (2, 1)

    assert cli("train", "model=flow", *data, *quick, "hydra.run.dir=flow")[0] == 0
    code, out, _ = cli("sample", "run=flow", "n=4")
    assert code == 0
    assert "the label 'kind' is not sampled" in out


def test_snapshots_leave_out_image_classes_without_samples():
    from genlab.plots.snapshots import snapshot

    data = blobs()
    for split in data.splits.values():
        assert split.y is not None
        split.y[split.y == 3] = 4
    data = Dataset("blobs", data.splits, "symmetric", classes=10)
    composed = config("model=gan", "model.conditional=true", "data=mnist", "model.generator.width=4")
    family = build.family(composed, data.spec).eval()
    assert snapshot(family, data, 18)["samples"].shape == (2 * 29 + 1, 9 * 29 + 1, 3)
