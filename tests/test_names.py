"""Folder names made from user input: one safe path component, never outside the parent folder."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genlab.config.names import LONGEST, below, component, run_name
from genlab.errors import UserError

QUIET = ("trainer.sample_every=0", "trainer.evaluate_every=0")
SMALL = ("train", "trainer.steps=1", "trainer.device=cpu", "data.n=50", *QUIET)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("data.path=../../../t.csv", "data.path=t.csv"),
        ("data.path=/home/me/t.csv,seed=1", "data.path=_home_me_t.csv,seed=1"),
        ("../..", ""),
        (".hidden", "hidden"),
        ("a\nb\x1b[2J\0", "a_b_[2J_"),
        ("data.path='a (1), ü.csv'", "data.path=a (1), ü.csv"),
        ("model=gan,seed=0", "model=gan,seed=0"),
        ("c:\\x", "c_x"),
        ("\udcff", "_"),
    ],
)
def test_a_component_is_one_readable_name(text, name):
    assert component(text) == name


def test_long_texts_are_shortened_and_stay_distinct():
    names = {component("ü" * 200 + end) for end in "abc"}
    assert len(names) == 3
    assert all(len(os.fsencode(name)) <= LONGEST for name in names)


def test_a_name_stays_below_outputs():
    assert below("study/a (1)") == "study/a (1)"
    assert below("./a//b") == "a/b"
    for name in ("../x", "a/../../x", "/abs", "..", "a\\..\\x"):
        with pytest.raises(UserError, match="leads out of outputs/"):
            below(name)


def test_a_run_on_user_data_is_named_after_the_file(tmp_path):
    (tmp_path / "cats.v2").mkdir()

    def named(path: str | None) -> str:
        return run_name("flow", "array", _root_=OmegaConf.create({"data": {} if path is None else {"path": path}}))

    assert named("x/adult.csv") == "flow_adult"
    assert named("x/adult.v2.csv.gz") == "flow_adult.v2"
    assert named(str(tmp_path / "cats.v2")) == "flow_cats.v2"
    assert named("x/a?b.csv") == "flow_a_b"
    assert named(None) == named("???") == named("/") == "flow_array"


@pytest.mark.parametrize("name", ["../x", "/abs", "a/../../x"])
def test_a_name_that_leads_out_of_outputs_is_refused(cli, tmp_path, name):
    code, out, err = cli(*SMALL, f"name={name}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"genlab: name: '{name}' leads out of outputs/")
    assert list(tmp_path.iterdir()) == []


def test_a_long_run_name_is_shortened(cli, tmp_path):
    code, out, err = cli(*SMALL, "name=" + "x" * 300)
    assert code == 0, err
    (folder,) = (tmp_path / "outputs").iterdir()
    assert len(folder.name) == LONGEST
    assert Path(out.rsplit("run folder: ", 1)[1].strip()).parent == folder
