"""What TensorBoard shows: event files are read back, and its server is queried on the loopback interface."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from conftest import MODELS, ONLY, blobs, dataset, equal, trainer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata

from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.plots.projector import DIMENSIONS, principal, sprite, write_codes
from genlab.runs.charts import arrange, custom_scalars
from genlab.runs.hparams import Session, row
from genlab.runs.tracker import Tracker
from genlab.trainer import gradients
from genlab.trainer.options import Options

# Protobuf creates the names in its modules at import, so pyright does not know them.
# pyright: reportAttributeAccessIssue=false


def sessions(folder: Path) -> tuple[dict, int | None]:
    """Returns the settings that a run's row shows, and its status."""
    page = EventAccumulator(str(folder)).Reload()
    contents = {tag: page.SummaryMetadata(tag).plugin_data.content for tag in page.Tags()["tensors"]}
    start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
    values = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
    end = contents.get(metadata.SESSION_END_INFO_TAG)
    return values, None if end is None else metadata.parse_session_end_info_plugin_data(end).status


def test_the_row_of_a_run_keeps_numbers_and_shortens_class_names():
    settings = {
        "model._target_": "genlab.models.vae.VAE",
        "model.encoder._partial_": True,
        "model.encoder.hidden": [128, 64],
        "model.noise": None,
        "optimizer.model.lr": 1e-3,
        "seed": 0,
        "name": "vae_mnist",
    }
    assert row(settings) == {
        "model": "VAE",
        "model.encoder.hidden": "[128, 64]",
        "optimizer.model.lr": 1e-3,
        "seed": 0,
    }


def test_a_run_shows_its_settings_and_final_status(tmp_path):
    with Tracker(tmp_path, 0, 10, {"seed": 3, "model.beta": 1.5}):
        pass
    assert sessions(tmp_path) == ({"seed": 3.0, "model.beta": 1.5}, api_pb2.STATUS_SUCCESS)


def test_a_failed_run_has_status_failure_and_an_incomplete_one_none(tmp_path):
    with pytest.raises(ZeroDivisionError), Tracker(tmp_path / "a", 0, 10, {"seed": 0}):
        _ = 1 / 0
    assert sessions(tmp_path / "a")[1] == api_pb2.STATUS_FAILURE
    with Tracker(tmp_path / "b", 0, 10, {"seed": 0}) as tracker:
        tracker.complete = False
    assert sessions(tmp_path / "b")[1] is None


def test_a_resumed_run_replaces_its_row(tmp_path):
    Session(tmp_path, {"lr": 1.0}).close(False)
    Session(tmp_path, {"lr": 2.0}).close(True)
    assert sessions(tmp_path) == ({"lr": 2.0}, api_pb2.STATUS_SUCCESS)


def test_related_curves_share_a_chart():
    tags = ["train/critic/loss", "train/critic/wasserstein", "train/critic/penalty", "train/generator/loss"]
    tags += ["lr/critic", "lr/generator", "time/samples_per_s", "eval/critic/loss", "eval/sliced_w2"]
    tags += ["eval/cycle_error", "eval/identity_error", "train/critic/grad_norm", "gradient_norm/critic"]
    charts = arrange(tags)
    assert charts["losses"]["losses of all phases"] == ["train/critic/loss", "train/generator/loss"]
    assert charts["losses"]["terms of the critic loss"] == [
        "train/critic/loss",
        "train/critic/penalty",
        "train/critic/wasserstein",
    ]
    assert charts["losses"]["critic loss: training and validation"] == ["train/critic/loss", "eval/critic/loss"]
    assert "terms of the generator loss" not in charts["losses"]  # it has one term
    assert charts["measures"] == {
        "error": ["eval/cycle_error", "eval/identity_error"],
        "sliced w2": ["eval/sliced_w2"],
    }
    assert charts["training"]["learning rates"] == ["lr/critic", "lr/generator"]
    assert charts["training"]["gradient norms"] == ["gradient_norm/critic", "train/critic/grad_norm"]
    shown = {tag for charts in charts.values() for chart in charts.values() for tag in chart}
    assert shown == set(tags)


def test_the_layout_has_all_categories_from_the_start_and_grows_with_the_tags(tmp_path):
    with Tracker(tmp_path, 0, 10) as tracker:
        tracker.log(1, {"train/model/loss": 1.0, "train/model/kl": 2.0})
        tracker.log(2, {"eval/kl": 2.0})
    page = EventAccumulator(str(tmp_path)).Reload()
    event = page.Tensors("custom_scalars__config__")[-1]
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == list(custom_scalars([]))
    patterns = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert patterns == {
        "terms of the model loss": ["train/model/kl$", "train/model/loss$"],
        "model kl: training and validation": ["train/model/kl$", "eval/kl$"],
    }


@pytest.mark.parametrize("model", MODELS)
def test_logging_histograms_does_not_change_the_run(model, tmp_path):
    """Every phase logs a gradient norm, and logging changes no weight, buffer or optimizer state."""
    kind = "images" if model in ("gan", "vae_gan") else ONLY.get(model, "points")  # with BatchNorm for images
    data = dataset(kind, model)
    states = []
    for every in (0, 1):
        t = trainer(model, data, tmp_path if every else None, steps=2, batch_size=4, histogram_every=every)
        t.options.checkpoint_every = 0
        t.fit()
        states.append(t.state_dict())
    assert equal(*states)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    norms = [line for line in lines if any(key.startswith("gradient_norm/") for key in line)]
    assert [line["step"] for line in norms] == [1, 2]
    assert {key for key in norms[0] if key != "step"} == {f"gradient_norm/{p.name}" for p in t.phases}
    assert all(value > 0 for value in norms[0].values())
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()["histograms"]
    assert {tag.removeprefix("parameters/") for tag in tags if tag.startswith("parameters/")} == {
        name for name, parameter in t.family.named_parameters() if parameter.numel()
    }


def test_logged_gradients_are_those_of_the_loss():
    family = trainer("autoencoder", blobs(n=8)).family
    batch = blobs(n=8).head("train", 8)
    norms, histograms = gradients.inspect(family, batch, seed=0, step=0)
    loss = family.phases()[0].loss(batch).loss
    truth = dict(
        zip(dict(family.named_parameters()), torch.autograd.grad(loss, list(family.parameters())), strict=True)
    )
    name = "encoder.0.weight" if "encoder.0.weight" in truth else next(iter(truth))
    expected = gradients.values(truth[name])
    np.testing.assert_allclose(histograms[f"gradients/model/{name}"], expected, rtol=1e-5, atol=1e-8)  # fp32
    total = torch.stack([g.norm() for g in truth.values()]).norm().item()
    assert norms["gradient_norm/model"] == pytest.approx(total, rel=1e-5)


def test_histograms_have_a_size_limit_and_leave_out_non_finite_values():
    tensor = torch.arange(3.0 * gradients.VALUES)
    tensor[0] = float("nan")
    kept = gradients.values(tensor)
    assert len(kept) == gradients.VALUES - 1
    assert (kept[0], kept[1]) == (3.0, 6.0)


def test_a_negative_interval_is_refused():
    with pytest.raises(UserError, match="histogram_every"):
        Options(histogram_every=-1)


def test_codes_labels_and_thumbnails_are_where_the_projector_looks(tmp_path):
    data = blobs(n=30)
    assert write_codes(tmp_path, trainer("autoencoder", data).family.eval(), data)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    for name in ("codes.tsv", "labels.tsv", "sprite.png"):
        assert f'"projector/{name}"' in config
    codes = np.loadtxt(tmp_path / "projector" / "codes.tsv")
    assert len(codes) == len((tmp_path / "projector" / "labels.tsv").read_text().splitlines()) == 30
    with Image.open(tmp_path / "projector" / "sprite.png") as sheet:
        assert sheet.size == (6 * 28, 6 * 28)


def test_points_have_codes_without_thumbnails_and_families_without_encoder_have_no_codes(tmp_path):
    data = Gaussian2D(n=50)
    assert write_codes(tmp_path, trainer("vae", data).family.eval(), data)
    assert not (tmp_path / "projector" / "sprite.png").exists()
    assert not write_codes(tmp_path / "none", trainer("gan", data).family.eval(), data)
    assert not (tmp_path / "none").exists()


def test_long_codes_are_reduced_and_large_images_shrunk():
    g = torch.Generator().manual_seed(0)
    codes = torch.randn(90, 3, generator=g).double() @ torch.randn(3, 200, generator=g).double()
    short = principal(codes)
    assert short.shape == (90, DIMENSIONS)
    # The codes have rank 3, so distances are kept; that of a point to itself is the root of rounding errors.
    torch.testing.assert_close(torch.cdist(short, short), torch.cdist(codes, codes), rtol=1e-9, atol=1e-5)
    sheet, size = sprite(torch.rand(5, 3, 64, 128, generator=g))
    assert (sheet.shape, size) == ((3 * 16, 3 * 32, 3), (32, 16))


def test_the_dashboard_serves_only_this_machine_and_stops_on_ctrl_c(tmp_path):
    with Tracker(tmp_path / "run", 0, 10, {"seed": 0}) as tracker:
        tracker.log(1, {"train/model/loss": 1.0})
    command = [sys.executable, "-m", "genlab", "dashboard", str(tmp_path)]
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            assert process.stderr
            address = process.stdout.readline().split()[-1]
            assert address.startswith("http://127.0.0.1:")
            with urlopen(f"{address}data/environment", timeout=60) as answer:
                assert json.load(answer)["data_location"] == str(tmp_path)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()  # otherwise a failure above would wait for it forever


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no folder nowhere"),
        (["prot=6006"], "did you mean 'port'"),
        ([".", "port=x"], "must be a number from 1 to 65535"),
        ([".", "."], "takes one folder"),
    ],
)
def test_a_wrong_argument_gives_a_one_line_error(cli, arguments, message):
    code, _, err = cli("dashboard", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
