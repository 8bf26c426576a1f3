"""NaN is not a value: it is never the best, has no rank, and is not written to JSON."""

import json
import math
from pathlib import Path

import pytest
from conftest import blobs, trainer
from omegaconf import OmegaConf

from genlab.data.gaussian2d import Gaussian2D
from genlab.runs.folder import Run, to_json
from genlab.sweep.folder import Job, Sweep
from genlab.sweep.search import monitored
from genlab.trainer.monitors import PosteriorCollapse
from genlab.trainer.validate import Best

NAN = math.nan


def strict(path: Path) -> dict:
    """Reads a file as standard JSON, which has neither NaN nor Infinity."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_the_best_value_is_the_best_finite_one(mode, bad):
    best = Best("eval/loss", mode, 1)
    assert not best.update(1, {"eval/loss": bad})
    assert (best.found, best.stale) == (None, 1)
    assert best.update(2, {"eval/loss": 3.0})
    assert not best.update(3, {"eval/loss": bad})
    assert best.found == (3.0, 2)
    assert best.update(4, {"eval/loss": 2.0 if mode == "min" else 4.0})


def test_a_checkpoint_whose_best_is_nan_is_resumed_without_a_best():
    run = trainer("vae", blobs(range="unit"), steps=2)
    run.train_step()
    resumed = trainer("vae", blobs(range="unit"), steps=2)
    resumed.load_state_dict(run.state_dict() | {"best": (NAN, 1), "stale": 3})
    assert (resumed.best.found, resumed.best.stale) == (None, 3)


def test_a_run_whose_first_measure_is_nan_has_a_best_value_and_valid_json(tmp_path, monkeypatch):
    from genlab.commands.train import finish

    run = trainer("gan", Gaussian2D(n=50), tmp_path / "run", steps=6, evaluate_every=2)
    values = iter([NAN, 5.0, NAN])
    run.evaluate = lambda family: {"eval/sliced_w2": next(values), "eval/spread": NAN}
    result = run.fit()
    assert result.best == (5.0, 4)
    assert (tmp_path / "run" / "checkpoints" / "best.pt").exists()
    assert finish(Run(tmp_path / "run"), run, result, 0) == 5.0
    stored = strict(tmp_path / "run" / "result.json")
    assert stored["best"]["value"] == 5.0
    assert stored["measures"]["eval/spread"] is None
    assert [step for step, _ in monitored(tmp_path / "run" / "metrics.jsonl", "auto")] == [4]


def test_non_finite_numbers_are_null_in_json():
    assert json.loads(to_json({"a": [NAN, 1.5, (math.inf,)], "b": {"c": -math.inf}, "d": "NaN"})) == {
        "a": [None, 1.5, [None]],
        "b": {"c": None},
        "d": "NaN",
    }


def test_a_sweep_ranks_only_finite_values(tmp_path):
    jobs = [Job(i, f"{i}", [], "finished", measure="m") for i in range(3)]
    sweep = Sweep(tmp_path, jobs)
    for job, value in zip(jobs, ("NaN", "2.0", "1.0"), strict=True):
        run = sweep.run(job)
        run.folder.mkdir()
        # As an older genlab wrote it.
        run.result.write_text(f'{{"step": 1, "best": {{"measure": "m", "better": "min", "value": {value}}}}}')
        sweep.read_result(job)
    assert sweep.ranks() == {2: 1, 1: 2}
    assert [row["job"] for row in sweep.rows()] == [2, 1, 0]
    jobs[0].value = NAN
    sweep.save()
    assert strict(tmp_path / "sweep.json")["jobs"][0]["value"] is None
    (tmp_path / "sweep.json").write_text((tmp_path / "sweep.json").read_text().replace("null", "NaN", 1))
    assert Sweep.open(tmp_path).jobs[0].value is None


@pytest.mark.parametrize(("measure", "value", "told"), [("eval/loss", 4.0, 4.0), ("eval/high_quality", 0.999, 0.01)])
def test_a_search_is_given_the_finite_value_or_its_distance_from_the_best(tmp_path, measure, value, told):
    optuna = pytest.importorskip("optuna")
    from genlab.sweep.search import Search

    search = Search()
    search.study, search.current = optuna.create_study(), Sweep(tmp_path)
    search.trials = {0: search.study.ask()}
    search.reported, search.base = {}, OmegaConf.create({"trainer": {"monitor": measure, "mode": "auto"}})
    run = Run(tmp_path / "0")
    run.folder.mkdir()
    run.metrics.write_text(f'{{"step": 1, "{measure}": NaN}}\n{{"step": 2, "{measure}": {value}}}\n')
    search._tell(Job(0, "0", [], "finished", measure=measure, value=value))
    (trial,) = search.study.trials
    assert (trial.state.name, list(trial.intermediate_values)) == ("COMPLETE", [2])
    assert [trial.value, trial.intermediate_values[2]] == pytest.approx([told, told])


def test_a_kl_of_nan_is_not_a_collapse():
    monitor = PosteriorCollapse()
    assert [monitor(step, {"eval/kl": NAN}) for step in range(5)] == [""] * 5
