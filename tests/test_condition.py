"""Models that are given columns: data.condition, where= and fill= with them, and inpainting by diffusion."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Cli, config, with_few_steps

from genlab.commands import tables
from genlab.commands.conditions import parse
from genlab.config import build
from genlab.data.table import Table
from genlab.errors import UserError
from genlab.models import samplers
from genlab.models.given import Given
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

GIVEN = ("energy", "kind")
TAKERS = ("autoregressive", "ddpm", "flow", "flow_matching", "gan", "score", "vae", "wgan", "wgan_gp")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose signal is 3 energy + noise, and whose hit depends on the kind."""
    generator = torch.Generator().manual_seed(0)
    energy = torch.rand(600, generator=generator)
    signal = 3 * energy + 0.1 * torch.randn(600, generator=generator)
    kind = torch.randint(3, (600,), generator=generator)
    hit = torch.rand(600, generator=generator) < torch.tensor([0.1, 0.5, 0.9])[kind]
    lines = ["energy,signal,kind,hit"]
    for e, s, k, h in zip(energy.tolist(), signal.tolist(), kind.tolist(), hit.tolist(), strict=True):
        lines.append(f"{e:.4f},{s:.4f},{'abc'[k]},{'yes' if h else 'no'}")
    file = tmp_path_factory.mktemp("given") / "detector.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def made(model: str, path: Path, given: tuple[str, ...] = GIVEN, *options: str) -> tuple[Any, Table]:
    data = Table(str(path), condition=list(given), rare=1)
    torch.manual_seed(0)
    return build.family(config(f"model={model}", "data=gaussian2d", *options), data.spec), data


def trained(model: str, data: Table, family: Any, steps: int, folder: Path | None = None) -> Any:
    composed = config(f"model={model}", "data=gaussian2d")
    options = Options(steps=steps, batch_size=64, evaluate_every=0, sample_every=0, device="cpu", ema=0)
    Trainer(family, data, build.optimizers(composed), options, folder=folder).fit()
    return family.eval()


@pytest.mark.parametrize("model", TAKERS)
def test_given_columns_are_kept_and_come_from_training_rows(model: str, path: Path, tmp_path: Path):
    family, data = made(model, path)
    trained(model, data, family, 3, tmp_path)
    with_few_steps(family)
    real = data.batch("train", torch.arange(480))["x"]
    x = family.sample(20)
    assert x.shape == (20, *data.spec.shape)
    own = family.given.split(x)[1]
    assert (own[:, None] == family.given.split(real)[1]).all(2).any(1).all()
    completed = family.complete(real[:50], family.given.mask.expand(50, -1))
    assert torch.equal(family.given.split(completed)[1], family.given.split(real[:50])[1])
    assert not torch.equal(completed, real[:50])
    again: Any = made(model, path)[0]
    again.load_state_dict(family.state_dict())
    torch.manual_seed(1)
    x = family.sample(5)
    torch.manual_seed(1)
    with_few_steps(again)
    assert torch.equal(again.sample(5), x)


@pytest.mark.parametrize("model", ["autoencoder", "cyclegan", "latent_diffusion", "vae_gan"])
def test_other_families_say_that_they_learn_all_columns(model: str, path: Path):
    with pytest.raises(UserError, match=r"data\.condition: .* learns all columns; use autoregressive"):
        made(model, path)


@pytest.mark.parametrize(("model", "steps"), [("autoregressive", 150), ("flow", 250), ("vae", 400), ("ddpm", 400)])
def test_what_is_drawn_follows_from_what_is_given(model: str, steps: int, path: Path):
    options = {"vae": ["model.z_dim=2"], "autoregressive": ["model.numbers=true"]}
    family, data = made(model, path, GIVEN, *options.get(model, []))
    trained(model, data, family, steps)
    schema: Any = data.spec.table
    units = data.real("test", 60).repeat(10, 1)
    x = data.spec.from_units(units)
    with torch.no_grad():
        drawn = schema.named(data.spec.decode(family.complete(x, family.given.mask.expand_as(x))))
    energy, signal = drawn["energy"], drawn["signal"]
    assert torch.equal(energy, schema.named(units)["energy"])
    assert torch.corrcoef(torch.stack([energy, signal]))[0, 1] > 0.9  # 0.99 in the data
    hits = drawn["hit"]
    if schema.column("hit").labels[0] == "yes":
        hits = 1 - hits
    kinds = schema.column("kind").labels
    few, many = (hits[drawn["kind"] == kinds.index(kind)].mean() for kind in "ac")
    assert few < 0.35 < 0.65 < many


def test_the_flow_is_a_density_of_the_learnt_columns(path: Path):
    data = Table(str(path), columns=["energy", "signal"], condition=["energy"])
    torch.manual_seed(0)
    family: Any = build.family(config("model=flow", "data=gaussian2d"), data.spec)
    trained("flow", data, family, 20)
    grid = torch.linspace(-8, 8, 4001)
    x = torch.stack([torch.full_like(grid, 0.3), grid], dim=1)
    with torch.no_grad():
        total = torch.trapezoid(family.log_prob(x).exp(), grid)
    assert total == pytest.approx(1, abs=1e-3)


def test_inpainting_draws_from_the_conditional_distribution():
    """For two normal numbers of correlation 0.9 with the exact denoiser."""
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    ratios = torch.logspace(2, -2.3, 40, dtype=torch.float64).tolist()
    levels = [(1 / math.sqrt(1 + r * r), r / math.sqrt(1 + r * r)) for r in ratios]

    def denoise(x: torch.Tensor, i: int) -> torch.Tensor:
        alpha, sigma = levels[i]
        total = alpha**2 * covariance + sigma**2 * torch.eye(2, dtype=torch.float64)
        return x @ torch.linalg.solve(total, alpha * covariance)

    torch.manual_seed(0)
    n = 4000
    data = torch.tensor([1.5, 0.0], dtype=torch.float64).expand(n, -1)
    known = torch.tensor([True, False]).expand(n, -1)
    noise = torch.randn(n, 2, dtype=torch.float64)
    drawn = [samplers.inpaint(denoise, noise, data, known, levels, rounds, True)[:, 1] for rounds in (1, 10)]
    means = [each.mean().item() for each in drawn]
    assert means[1] == pytest.approx(1.35, abs=0.06)
    assert means[0] < means[1] - 0.1  # a single round ignores the known part in part
    assert drawn[1].std().item() == pytest.approx(math.sqrt(1 - 0.81), rel=0.15)


def test_commands_give_the_columns(cli: Cli, path: Path, tmp_path: Path):
    words = ("data=table", f"data.path={path}", "data.condition=[energy]", "trainer.steps=20", "trainer.device=cpu")
    code, _, err = cli("train", "model=wgan_gp", *words, "hydra.run.dir=run", "trainer.evaluate_every=20")
    assert code == 0, err
    assert cli("sample", "run=run", "n=40", "where={energy: 0.25}")[0] == 0
    rows = (tmp_path / "run" / "samples.csv").read_text().splitlines()[1:]
    assert len(rows) == 40
    assert {row.split(",")[0] for row in rows} == {"0.2500"}
    (tmp_path / "ask.csv").write_text("energy\n0.1\n0.9\n")
    assert cli("sample", "run=run", "fill=ask.csv")[0] == 0
    rows = (tmp_path / "run" / "filled.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["0.1", "0.9"]
    assert all(len(row.split(",")) == 4 for row in rows)
    for text, message in (
        ("energy,kind\n0.1,a\n", r"a WGANGP can be given 'energy' only; empty 'kind'"),
        ('energy\n0.1\n""\n', r"column 'energy' is empty in .*line 3; the model must be given it"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        code, _, err = cli("sample", "run=run", "fill=bad.csv")
        assert code == 2
        assert re.search(message, err), err
    code, _, err = cli("train", "model=gan", *words[:2], "data.condition=[energi]")
    assert code == 2
    assert "did you mean 'energy'" in err
    assert cli("evaluate", "run=run", "samples=50", "split=test")[0] == 0


def test_diffusion_inpaints_only_what_is_rare(path: Path, capsys: pytest.CaptureFixture[str]):
    data = Table(str(path), rare=1)
    family: Any = build.family(config("model=ddpm", "data=gaussian2d"), data.spec)
    with_few_steps(family)
    schema: Any = data.spec.table
    rows = torch.cat(list(tables.fulfilling(family, 20, parse("{kind: a}", schema))))
    assert "inpainting" not in capsys.readouterr().out
    rows = torch.cat(list(tables.fulfilling(family, 20, parse("{energy: 0.5}", schema))))
    assert "drawn by inpainting" in capsys.readouterr().out
    assert schema.named(rows)["energy"].eq(0.5).all()


def test_given_rows_are_kept_whatever_the_batch_size(path: Path):
    data = Table(str(path), condition=["energy"], rare=1)
    given = Given(data.spec)
    x = data.batch("train", torch.arange(480))["x"]
    for part in (x[:16], x[16:20], x[20:276]):
        given.remember(part)
    assert given.seen == 276
    drawn = given.draw(2000)
    assert (drawn[:, None] == given.split(x[:276])[1]).all(2).any(1).all()


def test_a_class_beside_given_columns_is_refused(path: Path):
    data = Table(str(path), "kind", condition=["energy"], rare=1)
    for model in ("gan", "ddpm", "score", "flow_matching"):
        with pytest.raises(UserError, match=r"with data\.condition, name the label there instead"):
            build.family(config(f"model={model}", "data=gaussian2d", "model.conditional=true"), data.spec)


def test_cells_are_filled_in_so_that_constraints_hold(cli: Cli, tmp_path: Path):
    lines = [f"{i % 9},{i % 9 + 1 + i % 4},{(i % 9) * 3}" for i in range(120)]
    (tmp_path / "c.csv").write_text("start,end,total\n" + "\n".join(lines) + "\n")
    words = ("data=table", "data.path=c.csv", "data.constraints=[start < end, total == start * 3]")
    assert cli("train", *words, "trainer.steps=30", "trainer.device=cpu", "hydra.run.dir=run")[0] == 0
    (tmp_path / "gaps.csv").write_text("start,end,total\n5,,\n7,,\n2,6,\n")
    assert cli("sample", "run=run", "fill=gaps.csv")[0] == 0
    rows = [[int(cell) for cell in line.split(",")] for line in (tmp_path / "run/filled.csv").read_text().split()[1:]]
    assert [row[0] for row in rows] == [5, 7, 2]
    assert all(start < end and total == 3 * start for start, end, total in rows)
    (tmp_path / "none.csv").write_text("start,end,total\n")
    code, _, err = cli("sample", "run=run", "fill=none.csv")
    assert code == 2
    assert "no rows" in err
