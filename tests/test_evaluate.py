"""`genlab evaluate` applies every measure that fits a family, and gives a reason for each that is left out."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ONLY, PAIRS, Cli, blobs, dataset, trainer, with_few_steps

from genlab.data.array import Array
from genlab.data.base import Dataset, Split
from genlab.data.fields import numeric
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.pairs import Pairs, turn
from genlab.evaluation.abilities import translation_errors
from genlab.evaluation.evaluate import Plan, evaluate, judge_samples, with_units
from genlab.evaluation.report import Report
from genlab.evaluation.trained import training
from genlab.evaluation.training import evaluator
from genlab.metrics.features import FeatureNet
from genlab.metrics.modes import mode_coverage
from genlab.models.base import Bounded, Density, Discrete, Reconstructor, Sampler, Translator
from genlab.networks.classifier import Classifier
from genlab.runs.history import History

PLAN = Plan(samples=12, likelihood=4, k=2)


def net() -> FeatureNet:
    """Returns an untrained feature net, enough to check that everything is called correctly."""
    torch.manual_seed(0)
    return FeatureNet("untrained", Classifier((1, 28, 28), 10), accuracy=None, balanced=True)


def report_of(model: str, kind: str) -> tuple[Report, object]:
    data = dataset(kind, model)
    family = with_few_steps(trainer(model, data, steps=1).family)
    report = Report(source="here")
    evaluate(family, data, PLAN, net() if kind == "images" else None, report)
    return report, family


# Tables, series and graphs have measures and tests of their own.
@pytest.mark.parametrize(("model", "kind"), [pair for pair in PAIRS if pair[1] in ("points", "images")])
def test_every_family_is_measured_by_its_abilities(model: str, kind: str):
    report, family = report_of(model, kind)
    names = set(report.measures)
    assert all(np.isfinite(row.value) for row in report.measures.values()), report.measures
    if isinstance(family, (Sampler, Translator)) and model not in ONLY:
        assert {"fid", "kid", "recall"} <= names if kind == "images" else {"w2", "mmd", "ks_x"} <= names
        assert report.samples == 12
        row = report.measures["fid" if kind == "images" else "w2"]
        assert row.floor is not None
        assert row.noise is not None
        assert row.better == "min"
    if isinstance(family, Reconstructor):
        assert "reconstruction_mse" in names
    if isinstance(family, Bounded):
        assert "elbo" in names
    if model not in ONLY:
        assert ("bits_per_dim" in names) == (kind == "images" and isinstance(family, (Density, Discrete)))
        assert ("nll" in names) == (kind == "points" and isinstance(family, Density))
    if isinstance(family, Translator):
        assert {"translation_error", "cycle_error"} <= names
    absent = {"reconstruction_mse", "likelihood", "samples"} & set(report.left_out)
    assert not absent & names
    assert all(report.left_out.values())


def test_a_report_is_reproducible_and_can_be_written_as_json():
    def strip(report: Report) -> str:
        return json.dumps(report.as_dict() | {"seconds": {}})

    first, second = (report_of("vae", "points")[0] for _ in range(2))
    assert strip(first) == strip(second)
    assert first.measures["elbo"].floor == pytest.approx(-3.52, abs=1.0)  # the mean of four points
    assert "floor" in "\n".join(first.lines())


def test_real_points_are_as_good_as_the_floor_and_noise_is_worse():
    data, report = Gaussian2D("ring"), Report(source="here")
    judge_samples(data.real("validation", 5000), data, Plan(samples=5000), None, report)
    row = report.measures["high_quality"]
    assert row.value == pytest.approx(0.989, abs=0.006)  # four standard errors of 5000
    assert row.floor == pytest.approx(row.value, abs=0.01)
    assert row.noise is not None
    assert row.noise < 0.1
    assert report.measures["modes"].value == 8


def test_translations_are_judged_in_the_other_domain():
    pairs = Pairs(blobs())
    target = pairs.target()
    assert target.spec == pairs.spec
    batch = pairs.head("test", 8)
    # The raw pixels of the target are the transform of those of its source, to the rounding of a pixel.
    assert torch.equal(target.head("test", 8)["x"], batch["b"])
    assert torch.equal(target.head("test", 8)["y"], batch["y_b"])


def test_training_measures_use_the_feature_net():
    data = blobs()
    family = trainer("gan", data, steps=1).family.eval()
    measures = evaluator(data, torch.device("cpu"), 0, net())(family)
    quick = evaluator(data, torch.device("cpu"), 0)(family)
    assert "eval/sliced_w2" in quick
    assert set(measures) - set(quick) == {
        f"eval/{name}" for name in ("fid", "precision", "recall", "classes", "balance")
    }


def run_folder(cli: Cli, *overrides: str) -> Path:
    code, _, err = cli("train", "model=vae", "trainer.steps=2", "trainer.device=cpu", "hydra.run.dir=run", *overrides)
    assert code == 0, err
    return Path("run")


def test_evaluate_writes_json_and_tensorboard_scalars(cli: Cli):
    run = run_folder(cli)
    code, out, err = cli("evaluate", "run=run", "samples=50", "likelihood=20", "k=3", "device=cpu")
    assert code == 0, err
    assert "50 samples against 50 real ones of the test split" in out
    report = json.loads((run / "evaluation.json").read_text())
    assert report["measures"]["w2"]["floor"] > 0
    assert report["likelihood"] == 20
    assert "left_out" in report
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run)).Reload()
    assert events.Scalars("test/w2")[0].value == pytest.approx(report["measures"]["w2"]["value"])


def test_the_training_log_is_measured(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(
        "model: {}\ndata: {}\ntrainer: {log_every: 5}\noptimizer: {}\nseed: 0\nname: x\n"
    )
    rows = [{"step": 5 * i, "train/critic/loss": 2.0 * (-1) ** i, "train/critic/penalty": i / 100} for i in range(100)]
    rows += [{"step": 600, "train/generator/loss": 1.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = Report(source="here")
    training(History(tmp_path), report)
    assert report.measures["critic_roughness"].value == pytest.approx(math.sqrt(2), rel=0.02)  # a zigzag
    assert report.measures["critic_std"].value == pytest.approx(2.0, rel=0.02)
    assert report.measures["critic_penalty"].value == pytest.approx(np.mean([i / 100 for i in range(90, 100)]))
    assert "at least 3 values" in report.left_out["generator_roughness"]


def test_sampling_in_bf16_is_close_to_fp32_but_not_equal(cli: Cli):
    run_folder(cli)
    values = []
    for precision in ("fp32", "bf16"):
        code, _, err = cli(
            "evaluate", "run=run", "samples=300", "likelihood=4", "k=2", "device=cpu", f"precision={precision}"
        )
        assert code == 0, err
        values.append(json.loads(Path("run/evaluation.json").read_text())["measures"]["sliced_w2"]["value"])
    assert values[0] != values[1]
    assert values[0] == pytest.approx(values[1], rel=0.05)  # bf16 has 8 bits


def test_samples_from_a_file_are_evaluated(cli: Cli):
    g = np.random.default_rng(0)
    np.savez("mine.npz", samples=g.normal(size=(200, 2)))
    code, out, err = cli("evaluate", "samples=mine.npz", "data=gaussian2d", "out=here", "device=cpu")
    assert code == 0, err
    assert "200 samples against 200 real ones" in out
    assert json.loads(Path("here/evaluation.json").read_text())["source"] == "mine.npz"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate",), "'run' needs a value"),
        (("evaluate", "run=nowhere"), "no folder nowhere"),
        (("evaluate", "run=run", "samples=x.npz"), "must be a number with run=, got 'x.npz'"),
        (("evaluate", "run=run", "data=gaussian2d"), "is evaluated on its own data"),
        (("evaluate", "samples=x.npz"), "needs data="),
        (("evaluate", "samples=x.npz", "data=gaussian2d"), "no file x.npz"),
        (("evaluate", "samples=bad.npz", "data=gaussian2d"), "no array 'samples'; it has points"),
        (("evaluate", "samples=text.npz", "data=gaussian2d"), "not a .npz or .npy file of numbers"),
        (("evaluate", "samples=wide.npz", "data=gaussian2d"), "needs at least 2 samples of 2"),
        (("evaluate", "samples=nan.npz", "data=gaussian2d"), "not finite in sample 3"),
        (("evaluate", "samples=pickle.npz", "data=gaussian2d"), "not a .npz or .npy file of numbers"),
        (("evaluate", "run=run", "net=inceptoin"), "did you mean 'inception'?"),
        (("evaluate", "run=run", "precision=fp16"), "'fp16' is none of fp32, bf16"),
        (("train", "net=clasifier"), "did you mean 'classifier'?"),
        (("prepare", "net=clasifier"), "did you mean 'classifier'?"),
        (("evaluate", "run=run", "split=train"), "'train' is none of test, validation"),
        (("evaluate", "run=run", "samples=1"), "samples: 1 is not an integer of at least 2"),
        (("evaluate", "run=run", "sampels=10"), "did you mean 'samples'?"),
        (("compare",), "needs run folders"),
        (("compare", "nowhere"), "no folder nowhere"),
        (("compare", "empty"), "contains none"),
        (("compare", "empty", "srot=fid"), "did you mean 'sort'?"),
    ],
)
def test_wrong_input_gives_a_one_line_error(cli: Cli, arguments: tuple[str, ...], message: str):
    Path("empty").mkdir()
    np.savez("bad.npz", points=np.zeros((5, 2)))
    np.savez("wide.npz", samples=np.zeros((5, 3)))
    np.savez("nan.npz", samples=np.where(np.arange(5)[:, None] == 3, np.nan, np.zeros((5, 2))))
    np.savez("pickle.npz", samples=np.array([{"a": 1}], dtype=object))
    Path("text.npz").write_text("hello")
    code, out, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_a_run_can_be_sampled_and_evaluated_with_other_model_settings(cli: Cli, tmp_path: Path):
    quick = ("trainer.evaluate_every=0", "trainer.sample_every=0", "hydra.run.dir=run")
    assert cli("train", "model=ddpm", "trainer.steps=5", "trainer.batch_size=16", *quick)[0] == 0
    drawn = {}
    for steps in (2, 4):
        assert cli("sample", "run=run", "n=5", f"model.sample_steps={steps}", f"out=drawn{steps}")[0] == 0
        drawn[steps] = np.load(tmp_path / f"drawn{steps}" / "samples.npz")["samples"]
    assert not np.allclose(drawn[2], drawn[4])
    few = ("samples=20", "likelihood=2", "k=1")
    code, out, _ = cli("evaluate", "run=run", "model.sample_steps=2", "out=other", *few)
    assert code == 0
    assert "with model.sample_steps=2" in out
    assert json.loads((tmp_path / "other" / "evaluation.json").read_text())["settings"] == {"model.sample_steps": 2}
    assert not (tmp_path / "run" / "evaluation.json").exists()
    assert "did you mean 'sample_steps'?" in cli("sample", "run=run", "model.sample_step=2")[2]
    code, _, error = cli("sample", "run=run", "model.net.hidden=7")
    assert (code, error.count("\n")) == (2, 1)
    assert "does not fit these settings" in error


def test_reported_units_are_those_of_the_values(cli: Cli, tmp_path: Path):
    """Table rows are compared standardised; likelihoods are in the columns' units, unlike those in training."""
    rows = np.random.default_rng(0).normal(size=(80, 2)) * [1000.0, 1.0]
    (tmp_path / "t.csv").write_text("wide,narrow\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows.tolist()))
    table = ("data=array", "data.path=t.csv", "hydra.run.dir=table")
    quick = ("trainer.steps=2", "trainer.device=cpu", "trainer.sample_every=0")
    assert cli("train", "model=flow", *table, *quick)[0] == 0
    code, out, _ = cli("evaluate", "run=table", "samples=50", "likelihood=8")
    assert code == 0
    report = json.loads((tmp_path / "table" / "evaluation.json").read_text())
    measures = report["measures"]
    assert measures["w2"]["unit"] == measures["sliced_w2"]["unit"] == "column deviations"
    scale = sum(math.log(column.deviation) for column in Array(str(tmp_path / "t.csv")).spec.columns)
    assert (
        f"in the columns' own units, {scale:+.4g} relative to the standardised columns of training"
        in measures["nll"]["text"]
    )
    assert list(report["columns"]) in (["wide", "narrow"], ["narrow", "wide"])
    assert "distance by column, worst first: " in out
    assert with_units(Gaussian2D(n=10))["w2"].unit == "data units"
    assert with_units(blobs())["sliced_w2"].unit == "data units"


def test_the_worst_column_is_named():
    names = [f"c{i}" for i in range(6)]
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    columns = tuple(numeric(name, 0.0, 1.0) for name in names)
    splits = {name: Split(x) for name in ("train", "validation", "test")}
    data, report = Dataset("table", splits, columns), Report(source="here")
    fake = x.clone()
    fake[:, 4] += 3.0
    judge_samples(fake, data, Plan(samples=200), None, report)
    assert next(iter(report.columns)) == "c4"
    assert report.measures["ks_max"].value == report.columns["c4"]
    assert report.measures["ks_max"].text.endswith("that of column 'c4'")
    assert "worst first: c4 0.9, c" in "\n".join(report.lines())


def test_translations_of_a_table_are_judged_standardised():
    """Otherwise the column with the largest numbers would dominate."""
    columns = (numeric("wide", 0.0, 1000.0), numeric("narrow", 0.0, 1.0))
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    pairs = Pairs(Dataset("table", dict.fromkeys(("train", "validation", "test"), Split(x)), columns))
    batch = pairs.head("test", 20)
    same = pairs.decode(batch["a"])
    found = translation_errors(pairs, batch, same, same)
    assert found["cycle_error"] == pytest.approx(0, abs=1e-6)
    assert found["identity_error"] == pytest.approx((batch["a"] - turn(batch["a"])).norm(dim=1).mean().item(), rel=1e-5)


def test_the_published_nll_is_left_out_for_non_binary_pixels():
    report, _ = report_of("vae", "images")
    assert report.left_out["published NLL"].startswith("pixels are not binary")


def test_reverse_kl_is_nan_if_no_sample_lies_on_a_mode():
    modes = torch.eye(2)
    assert math.isnan(mode_coverage(torch.full((9, 2), 50.0), modes, 0.1).reverse_kl)
    assert mode_coverage(modes, modes, 0.1).reverse_kl == 0
