"""What a run writes: TensorBoard events read back, metrics.jsonl rewound, pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genlab.errors import RunFailed
from genlab.plots.images import grid
from genlab.plots.points import scatter
from genlab.runs.tracker import Meter, Tracker, rewind


def test_the_meter_averages_over_the_window_and_survives_a_checkpoint():
    meter = Meter()
    for step, value in enumerate([1.0, 2.0, 6.0]):
        meter.add(step, "critic", {"loss": torch.tensor(value)})
    other = Meter()
    other.load_state_dict(meter.state_dict())
    assert meter.read() == other.read() == {"critic/loss": 3.0}
    meter.clear()
    assert meter.read() == {}


def test_the_meter_names_the_first_step_with_a_non_finite_value():
    meter = Meter()
    for step, value in enumerate([1.0, float("inf"), float("nan")]):
        meter.add(step, "critic", {"loss": torch.tensor(1.0)})
        meter.add(step, "generator", {"loss": torch.tensor(value)})
    with pytest.raises(RunFailed, match="'generator' is not finite at step 2"):
        meter.read()


def test_scalars_pictures_and_text_are_written_for_tensorboard(tmp_path):
    with Tracker(tmp_path, 0, 10) as tracker:
        tracker.log(5, {"train/model/loss": 2.5, "odd": float("nan")})
        tracker.picture(5, "samples", np.full((8, 6, 3), 7, np.uint8))
        tracker.text("config", "model: vae")
    page = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in page.Scalars("train/model/loss")] == [(5, 2.5)]
    assert (page.Images("samples")[0].height, page.Images("samples")[0].width) == (8, 6)
    assert "config/text_summary" in page.Tags()["tensors"]
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 5, "train/model/loss": 2.5, "odd": None}
    with Image.open(tmp_path / "samples" / "samples_00000005.png") as picture:
        assert np.array(picture).tolist() == [[[7] * 3] * 6] * 8


def test_rewinding_removes_later_partial_and_torn_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        '{"step": 2, "a": 1}',
        '{"step": 4, "a": 2}',
        '{"step": 5, "a": 3, "partial": true}',
        '{"step": 6}',
        '{"st',
    ]
    path.write_text("\n".join(lines))
    rewind(path, 5)
    assert path.read_text().splitlines() == lines[:2]


def test_there_is_no_progress_bar_without_a_terminal(tmp_path, capsys):
    with Tracker(tmp_path, 0, 10) as tracker:
        tracker.advance(3)
        tracker.log(3, {"train/model/loss": 1.0})
    assert capsys.readouterr().err == ""


def test_the_grid_places_images_row_by_row():
    images = torch.stack([torch.full((1, 2, 2), i / 4) for i in range(3)])
    picture = grid(images)
    assert picture.shape == (7, 7, 3)
    assert picture[1, 1].tolist() == [0] * 3
    assert picture[1, 4].tolist() == [64] * 3
    assert picture[4, 1].tolist() == [128] * 3
    assert picture[4, 4].tolist() == [96] * 3  # the empty cell has the gray of the lines


def test_the_scatter_shows_real_points_generated_points_and_a_landscape():
    g = torch.Generator().manual_seed(0)
    real, fake = torch.randn(100, 2, generator=g), torch.randn(100, 2, generator=g)
    plain, with_contours = scatter(real, fake), scatter(real, fake, lambda x: -x.square().sum(1))
    assert plain.shape == with_contours.shape
    assert plain.dtype == np.uint8
    orange = (plain[..., 0] > 200) & (plain[..., 2] < 120)
    assert orange.sum() > 100
    assert (plain != with_contours).mean() > 0.2
