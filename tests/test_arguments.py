"""Arguments as the shell passes them: plain text needs no Hydra quotes; lists and sweeps keep their commas."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from test_compare import make_run

from genlab.config.arguments import folders_and_options, quoted, split
from genlab.errors import UserError

SMALL = ("trainer.steps=2", "trainer.device=cpu", "trainer.sample_every=0", "trainer.evaluate_every=0")
TEXTS = (
    *("a (1).csv", "a,b.csv", "it's", "'tis", "x[1]", "{a}", "a=b", "größe", " lead", "trail ", "a\tb", 'a"b', "~q"),
    *("123", "1e3", "true", "nan", "1_0", "007", "back\\slash", "end\\", "\\'", "a:b", "@x", "#x", "*", "(a)", "%41"),
)


def read(word: str, sweep: bool = False):
    """Returns the value that Hydra reads from a word, or the list of values of a sweep."""
    (parsed,) = OverridesParser.create().parse_overrides([quoted(word, sweep)])
    return (
        [text.strip("'") for text in parsed.sweep_string_iterator()] if parsed.is_sweep_override() else parsed.value()
    )


@pytest.mark.parametrize(
    "key", ["data.path", "+data.label", "name", "out", "run", "model.autoencoder", "hydra.run.dir"]
)
def test_any_text_is_read_as_one_value(key):
    for text in TEXTS:
        assert read(f"{key}={text}") == text


def test_quoted_text_null_and_interpolations_are_kept():
    assert read("data.path='a,b.csv'") == "a,b.csv"
    assert read('data.path="a,b.csv"') == "a,b.csv"
    assert read("data.label=null") is None
    assert quoted("name=${model._target_}") == "name=${model._target_}"
    assert quoted("trainer.steps=1,2") == "trainer.steps=1,2"  # not a key of plain text


def test_integers_stay_numbers_for_keys_that_take_numbers():
    assert [read(f"{key}=12") for key in ("samples", "y", "checkpoint", "name")] == [12, 12, 12, "12"]
    assert [read(f"y={word}") for word in ("a (1)", "true", "1_0", "1.5")] == ["a (1)", "true", "1_0", "1.5"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("[sepal length (cm),größe]", ["sepal length (cm)", "größe"]),
        ('[a, "b, c"]', ["a", "b, c"]),
        ("[x[0], y{1}, it's, a=b]", ["x[0]", "y{1}", "it's", "a=b"]),
        ("[1,null]", ["1", "null"]),
        ("null", None),
    ],
)
def test_a_list_of_names_is_split_only_at_commas(word, value):
    assert read(f"data.columns={word}") == value
    assert read(f"data.columns={word}", sweep=True) == value


def test_commas_separate_sweep_values_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read("data.path=a (1).csv, b.csv", sweep=True) == ["a (1).csv", "b.csv"]
    assert quoted("data.columns=[a (x),b],[c]", sweep=True) == "data.columns=['a (x)',b],[c]"
    assert quoted("data.label=choice(a,b)", sweep=True) == "data.label=choice(a,b)"
    assert read("resume=a,b", sweep=True) == "a,b"
    Path("a (1).csv, b.csv").touch()
    assert read("data.path=a (1).csv, b.csv", sweep=True) == "a (1).csv, b.csv"


def test_a_leading_tilde_is_expanded_in_paths(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me (1)")
    assert read("data.path=~/x.csv") == "/home/me (1)/x.csv"
    assert read("name=~/x") == "~/x"  # not a path
    assert folders_and_options("genlab report", ["~", "out=~/r.html"], {"out": None}) == (
        ["/home/me (1)"],
        {"out": "/home/me (1)/r.html"},
    )


def test_split_respects_quotes_and_brackets():
    assert split("a, 'b,c' ,d") == ["a", "'b,c'", "d"]
    assert split("[a,b],[c]", brackets=True) == ["[a,b]", "[c]"]
    assert split("") == [""]


def test_folders_with_an_equals_sign_are_not_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out=x").mkdir()
    words = ["out=x", "0_model=gan", "out=y (1)"]
    assert folders_and_options("genlab compare", words, {"out": None}) == (["out=x", "0_model=gan"], {"out": "y (1)"})
    with pytest.raises(UserError, match="did you mean 'out'"):
        folders_and_options("genlab compare", ["ot=x"], {"out": None})


def test_train_sample_and_resume_accept_odd_names_of_files_columns_and_folders(cli, tmp_path):
    rng = np.random.default_rng(0)
    with open("größe (1), it's.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sepal length (cm)", "größe", "b, c"])
        writer.writerows(rng.normal(size=(40, 3)).round(3).tolist())
    path, columns = "data.path=größe (1), it's.csv", 'data.columns=[sepal length (cm),größe,"b, c"]'
    code, _, err = cli("train", "model=flow", "data=array", path, columns, *SMALL, "name=a=b (ü)")
    assert code == 0, err
    (run,) = (tmp_path / "outputs" / "a=b (ü)").iterdir()
    code, _, err = cli("sample", f"run={run}", "n=3", "device=cpu", "out=out [1], ü", "checkpoint=last")
    assert code == 0, err
    header = (tmp_path / "out [1], ü" / "samples.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == 'sepal length (cm),größe,"b, c"'
    run.rename(tmp_path / "run [1], it's")
    assert cli("train", "resume=run [1], it's", "trainer.steps=3")[0] == 0
    assert "no folder no (1), where" in cli("sample", "run=no (1), where")[2]


def test_compare_report_and_dashboard_accept_odd_folder_names(cli, tmp_path):
    make_run(tmp_path / "a (1), it's=[x]", 1.0)
    folder = "a (1), it's=[x]"
    assert cli("compare", folder, "out=c [1], ü")[0] == 0
    assert cli("report", folder, "out=r (1), ü.html")[0] == 0
    assert (tmp_path / "r (1), ü.html").is_file()
    assert "no folder x (1)" in cli("dashboard", "x (1)")[2]
