"""Each job of a sweep writes to its own folder inside the sweep's, whatever the values swept over look like."""

import pytest
from omegaconf import OmegaConf
from test_sweeps import SMALL, jobs, stand_in

from genlab.sweep.folder import Job, Sweep

PATHS = ("train", "-m", "data=array", "data.path=../../t.csv,/a/b/t.csv,t (1).csv", *SMALL[:3], "hydra.sweep.dir=sweep")


def test_values_with_path_separators_give_one_folder_each_in_the_sweep(cli, tmp_path, stand_in):
    (tmp_path / "REPAIRED").touch()
    assert cli(*PATHS, "hydra.launcher.n_jobs=3")[0] == 0
    assert list(jobs()) == ["0_data.path=t.csv", "1_data.path=_a_b_t.csv", "2_data.path=t (1).csv"]
    assert {path.name for path in tmp_path.iterdir()} == {"REPAIRED", "stand_in.py", "sweep"}
    assert all((tmp_path / "sweep" / name / "result.json").is_file() for name in jobs())


def test_long_values_get_short_and_distinct_folders(cli, tmp_path, stand_in):
    (tmp_path / "REPAIRED").touch()
    long = "x" * 250
    words = ("data=array", f"data.path={long}a,{long}b", "hydra.launcher.n_jobs=2")
    assert cli("train", "-m", *words, *SMALL[:3], "hydra.sweep.dir=sweep")[0] == 0
    assert len(set(jobs())) == 2
    assert all(len(name) < 130 for name in jobs())


@pytest.mark.parametrize(
    ("launcher", "subdir", "message"),
    [
        ("processes", "same", "gives two jobs the folder 'same'"),
        ("processes", "'${choose:${seed}}'", "gives two jobs the folder 'A'"),  # on a file system that ignores case
        ("processes", "../out", "'../out' is not the name of a folder in"),
        ("processes", "/tmp/out", "'/tmp/out' is not the name of a folder in"),
        ("basic", "same", "gives two jobs the folder 'same'"),
        ("basic", "../out", "'../out' is not the name of a folder in"),
    ],
)
def test_shared_folders_and_folders_outside_the_sweep_are_refused(cli, tmp_path, launcher, subdir, message):
    OmegaConf.register_new_resolver("choose", lambda seed: "aA"[seed], replace=True)
    words = (f"hydra/launcher={launcher}", f"hydra.sweep.subdir={subdir}")
    code, _, err = cli("train", "-m", "seed=0,1", *SMALL, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not list(tmp_path.glob("**/config.yaml"))


@pytest.mark.parametrize("launcher", ["processes", "basic"])
def test_a_sweep_does_not_touch_a_run_that_is_not_its_own(cli, tmp_path, launcher):
    other = tmp_path / "sweep" / "1_seed=1"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text("precious")
    code, _, err = cli("train", "-m", "seed=0,1", *SMALL, f"hydra/launcher={launcher}")
    assert (code, err.count("\n")) == (2, 1)
    assert "holds a run that is not part of this sweep" in err
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["1_seed=1"]
    assert [path.name for path in other.iterdir()] == ["config.yaml"]


def test_a_sweep_with_old_folder_names_can_be_resumed(cli, tmp_path, stand_in):
    (tmp_path / "REPAIRED").touch()
    Sweep(tmp_path / "sweep", [Job(0, "0_data.path=../../../t.csv", ["seed=0"], status="failed")]).save()
    assert cli("train", "resume=sweep")[0] == 0
    assert (tmp_path / "t.csv" / "result.json").is_file()
    assert next(iter(jobs().values())).status == "finished"


def test_other_launchers_make_the_same_folders(cli, tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    (tmp_path / "t (1).csv").write_text("a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(30)))
    monkeypatch.chdir(tmp_path / "deep")
    words = ("model=autoencoder", "data=array", "data.path=../t (1).csv", "seed=0,1", "trainer.steps=1", *SMALL[:3])
    code, _, err = cli("train", "-m", *words, "hydra/launcher=basic", "hydra.sweep.dir=../sweep")
    assert (code, err) == (0, "")
    assert list(jobs(tmp_path / "sweep")) == ["0_seed=0", "1_seed=1"]
    assert "already holds a sweep" in cli("train", "-m", *words, "hydra/launcher=basic", "hydra.sweep.dir=../sweep")[2]
    swept = "data.path=../t (1).csv,../no.csv"
    code, _, err = cli("train", "-m", *words[:2], swept, *words[4:], "hydra/launcher=basic")
    assert code == 1
    (folder,) = (tmp_path / "deep" / "outputs" / "sweep").iterdir()
    assert list(jobs(folder)) == ["0_data.path=t (1).csv", "1_data.path=no.csv"]


__all__ = ["stand_in"]
