"""A failing measure or picture never ends a run: it is left out with a reason, and the others are kept."""

import errno
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import blobs, dataset, trainer
from PIL import Image
from test_evaluate import net

from genlab.data.base import Dataset, Split
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.evaluation import abilities, training
from genlab.evaluation import evaluate as evaluate_module
from genlab.evaluation.evaluate import Plan, evaluate
from genlab.evaluation.judges import images as image_judge
from genlab.evaluation.judges import points as point_judge
from genlab.evaluation.report import Report
from genlab.evaluation.training import evaluator
from genlab.metrics import images, points
from genlab.metrics.attempts import attempt
from genlab.metrics.mmd import median_distance, mmd
from genlab.models.base import Family
from genlab.plots import snapshots
from genlab.plots.pairplot import outside
from genlab.plots.snapshots import snapshot
from genlab.runs.folder import Run
from genlab.trainer import loop
from genlab.trainer.validate import Best

CPU = torch.device("cpu")


def fail(*arguments: Any, **options: Any) -> Any:
    raise RuntimeError("sabotage")


@pytest.fixture(scope="module")
def families() -> dict[str, tuple[Family, Dataset]]:
    """Returns untrained families that have all abilities between them."""
    untrained = {}
    for model, kind in (("vae", "images"), ("vae", "points"), ("flow", "images"), ("flow", "points")):
        data = dataset(kind, model)
        untrained[f"{model} {kind}"] = trainer(model, data, steps=1).family.eval(), data
    for kind in ("images", "points"):
        data = dataset(kind, "cyclegan")
        untrained[f"cyclegan {kind}"] = trainer("cyclegan", data, steps=1).family.eval(), data
    return untrained


@cache
def full_report(family: Family, data: Dataset) -> Report:
    """Returns the full report of a family and data that many tests share."""
    return report_of(family, data)


@cache
def all_values(family: Family, data: Dataset) -> dict[str, float]:
    return evaluator(data, CPU, 0, net() if data.spec.layout == "image" else None)(family)


def report_of(family: Family, data: Dataset) -> Report:
    report = Report(source="here")
    evaluate(family, data, Plan(samples=12, likelihood=4, k=2), net() if data.spec.layout == "image" else None, report)
    return report


@pytest.mark.parametrize(
    ("case", "module", "name", "lost"),
    [
        *(
            ("vae images", images, name, lost)
            for name, lost in (
                ("frechet_distance", "fid"),
                ("moments", "fid"),
                ("kid", "kid"),
                ("inception_score", "inception_score"),
                ("manifold", "precision"),
                ("squared_radii", "precision"),
                ("class_measures", "classes"),
                ("class_shares", "classes"),
                ("memorisation", "memorised"),
                ("nearest_distances", "memorised"),
            )
        ),
        ("vae images", image_judge, "Reference", "fid"),
        ("vae images", image_judge, "sharpness", "sharpness"),
        ("vae images", image_judge, "sliced_w2", "sliced_w2"),
        *(
            ("vae points", points, name, lost)
            for name, lost in (
                ("kolmogorov_smirnov", "ks"),
                ("spread", "spread"),
                ("sliced_w2", "sliced_w2"),
                ("w2", "w2"),
                ("mmd", "mmd"),
                ("mode_measures", "modes"),
            )
        ),
        ("vae points", abilities, "reconstruction", "reconstruction_mse"),
        ("vae points", abilities, "code", "active_units"),
        ("vae points", abilities, "bounds", "elbo"),
        ("vae points", abilities, "entropy", "entropy"),
        ("flow points", abilities, "density", "nll"),
        ("flow images", abilities, "bits", "bits_per_dim"),
        ("cyclegan points", abilities, "translation_errors", "cycle_error"),
        ("cyclegan images", evaluate_module, "label_preservation", "label_preservation"),
    ],
)
def test_a_failing_measure_is_left_out_of_the_report(families, monkeypatch, case, module, name, lost):
    family, data = families[case]
    full = full_report(family, data)
    monkeypatch.setattr(module, name, fail)
    report = report_of(family, data)
    assert report.left_out[lost] == "RuntimeError: sabotage"
    missing = set(full.measures) - set(report.measures)
    assert missing or lost == "entropy"
    assert len(report.measures) >= len(full.measures) - (14 if name == "Reference" else 7)
    for kept in report.measures:
        assert report.measures[kept].value == pytest.approx(full.measures[kept].value, nan_ok=True), kept


def test_a_failing_noise_column_is_left_empty(families, monkeypatch):
    family, data = families["vae points"]
    monkeypatch.setattr(point_judge, "gaussian_noise", fail)
    report = report_of(family, data)
    assert report.measures["w2"].noise is None
    assert report.measures["w2"].floor is not None


@pytest.mark.parametrize(
    ("case", "module", "name", "lost"),
    [
        ("vae points", points, "sliced_w2", "eval/sliced_w2"),
        ("vae points", points, "spread", "eval/spread"),
        ("vae points", points, "mode_measures", "eval/modes"),
        ("vae images", images, "frechet_distance", "eval/fid"),
        ("vae images", images, "moments", "eval/fid"),
        ("vae images", images, "manifold", "eval/precision"),
        ("vae images", images, "class_measures", "eval/classes"),
        ("vae images", image_judge, "Reference", "eval/fid"),
        ("cyclegan points", training, "translation", "eval/translation_error"),
    ],
)
def test_a_failing_measure_is_left_out_of_training(families, monkeypatch, case, module, name, lost):
    family, data = families[case]
    judging = net() if data.spec.layout == "image" else None
    full = all_values(family, data)
    monkeypatch.setattr(module, name, fail)
    reasons: dict[str, str] = {}
    values = evaluator(data, CPU, 0, judging, reasons)(family)
    assert "sabotage" in reasons[lost]
    assert set(values) < set(full)
    assert values or case == "cyclegan points"
    with pytest.raises(RuntimeError, match="sabotage"):
        evaluator(data, CPU, 0, judging)(family)


PICTURES = {
    "draw_samples": ("vae points", "samples"),
    "draw_reconstructions": ("vae images", "reconstructions"),
    "draw_interpolation": ("vae images", "interpolation"),
    "is_plane": ("vae images", "latent_grid"),
    "draw_translations": ("cyclegan images", "translations"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_failing_picture_is_left_out(families, monkeypatch, name):
    case, lost = PICTURES[name]
    family, data = families[case]
    full = snapshot(family, data, 4)
    monkeypatch.setattr(snapshots, name, fail)
    reasons: dict[str, str] = {}
    drawn = snapshot(family, data, 4, reasons)
    assert reasons == {lost: "RuntimeError: sabotage"}
    assert set(drawn) == set(full) - {lost}


@pytest.mark.parametrize("name", ["evaluate", "snapshot", "validation_losses"])
def test_training_continues_without_a_failing_measure_or_picture_and_says_so_once(monkeypatch, capsys, tmp_path, name):
    if name == "validation_losses":
        monkeypatch.setattr(loop, name, fail)
    run = trainer("vae", Gaussian2D(n=50), tmp_path / "run", steps=4, evaluate_every=2, sample_every=2)
    if name != "validation_losses":
        setattr(run, name, fail)
    result = run.fit()
    assert result.step == 4
    assert (tmp_path / "run" / "checkpoints" / "last.pt").exists()
    err = capsys.readouterr().err
    assert err.count("is left out: RuntimeError: sabotage") == 1
    assert ("eval/loss" in result.measures) == (name != "validation_losses")


def test_a_monitored_measure_that_is_left_out_is_accepted_but_a_wrong_name_is_not():
    best = Best("eval/fid", "auto", 1)
    assert not best.update(1, {"eval/loss": 1.0}, left_out=["eval/fid"])
    with pytest.raises(UserError, match="none of eval/loss"):
        best.update(1, {"eval/loss": 1.0})
    for monitor, left_out in (("eval/fdi", "eval/fid"), ("eval/fid", "eval/spread"), ("eval/recall", "eval/modes")):
        with pytest.raises(UserError, match="none of eval/loss"):
            Best(monitor, "min", 1).update(1, {"eval/loss": 1.0}, left_out=[left_out])
    for monitor, left_out in (
        ("eval/recall", "eval/precision"),
        ("eval/balance", "eval/fid"),
        ("eval/reverse_kl", "eval/modes"),
        ("eval/kl", "eval/loss"),
        ("eval/sliced_w2", "eval/samples"),
        ("eval/spread", "measures"),
    ):
        assert not Best(monitor, "min", 1).update(1, {"eval/x": 1.0}, left_out=[left_out])


def test_a_full_disk_is_raised_and_not_left_out():
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        attempt("projector", full, {})
    reasons: dict[str, str] = {}
    assert attempt("x", lambda: 1 // 0, reasons) is None
    assert reasons["x"].startswith("ZeroDivisionError: ")


# Small data sets: an odd number of test images, one test row, equal rows.


@pytest.mark.parametrize("n", [1, 2, 3, 5, 15])
@pytest.mark.parametrize("model", ["vae", "autoencoder", "vae_gan"])
def test_any_number_of_test_images_can_be_drawn(model, n):
    data = blobs(range="unit", n=20)
    data.splits["test"] = Split(data.splits["test"].x[:n], None)
    family = trainer(model, data, steps=1).family.eval()
    reasons: dict[str, str] = {}
    drawn = snapshot(family, data, 4, reasons)
    assert "reconstructions" in drawn
    assert ("interpolation" in drawn) == (n > 1)
    assert list(reasons) == ([] if n > 1 else ["interpolation"])


def test_one_test_row_and_a_few_images_get_the_measures_that_they_allow():
    table = Gaussian2D(n=50)
    for name in ("validation", "test"):
        table.splits[name] = Split(table.splits[name].x[:1])
    report = report_of(trainer("flow", table, steps=1).family.eval(), table)
    assert {"nll", "nll_floor"} <= set(report.measures)
    assert "two samples" in report.left_out["w2"]
    few = blobs(range="unit", n=20)
    for name in ("validation", "test"):
        few.splits[name] = Split(few.splits[name].x[:3], None)
    family = trainer("vae", few, steps=1).family.eval()
    report = report_of(family, few)
    assert {"fid", "sharpness", "reconstruction_mse"} <= set(report.measures)
    assert "four samples" in report.left_out["kid"]
    assert "no neighbour" in report.left_out["precision"]
    reasons: dict[str, str] = {}
    values = evaluator(few, CPU, 0, net(), reasons)(family)
    assert {"eval/fid", "eval/sliced_w2"} <= set(values)
    assert list(reasons) == ["eval/precision"]


def test_a_plot_says_how_many_points_lie_outside():
    low, high = np.zeros(2), np.ones(2)
    inside, far = np.full((9, 2), 0.5), np.full((9, 2), 5.0)
    assert outside(inside, low, high) == ""
    assert outside(np.concatenate([inside, far]), low, high) == " (9 of 18 outside)"
    assert outside(np.full((4, 2), np.nan), low, high) == " (4 of 4 outside)"


def test_the_kernel_of_mmd_has_a_width_if_most_pairs_are_equal():
    """For flags or mostly zeros the median distance is 0; the median over pairs that differ is used instead."""
    x = torch.zeros(10, 2, dtype=torch.float64)
    x[0, 0], x[1, 0] = 3.0, 3.0
    assert torch.pdist(x).median() == 0
    assert median_distance(x) == 3.0
    assert mmd(x, x) < 0
    with pytest.raises(ValueError, match="all samples the same"):
        mmd(x[2:], x[2:])


def test_a_folder_of_thirty_images_can_be_trained_on_and_evaluated(cli, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "root"))
    (tmp_path / "d").mkdir()
    for i in range(30):
        Image.fromarray(np.full((28, 28), 8 * i, np.uint8)).save(tmp_path / "d" / f"{i}.png")
    small = ("trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu", "model.encoder.width=4")
    data = ("data=folder", "data.path=d", "data.size=28")
    code, _, err = cli("train", "model=vae", *data, *small, "model.decoder.width=4", "hydra.run.dir=run")
    assert (code, err) == (0, ""), err
    assert cli("evaluate", "run=run", "samples=20", "likelihood=2", "k=2")[0] == 0
    report = json.loads(Run(tmp_path / "run").evaluation.read_text())
    assert "elbo" in report["measures"]
