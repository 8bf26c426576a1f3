"""Tables on the command line: train, sample under conditions, fill in, evaluate, load; bad input in one line."""

import csv
import json
from pathlib import Path

import pyarrow
import pytest
import torch
from conftest import Cli, rows

import genlab
from genlab.commands import tables
from genlab.commands.conditions import parse
from genlab.config.arguments import prepared
from genlab.data.frames.write import write
from genlab.data.table import Table
from genlab.errors import UserError
from genlab.evaluation import abilities

SHORT = ("trainer.steps=30", "trainer.batch_size=32", "trainer.device=cpu", "trainer.evaluate_every=30")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A semicolon-separated table with a column of each kind."""
    path = tmp_path_factory.mktemp("table") / "goods.csv"
    table = rows(300)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            writer.writerow(["" if cell is None else str(cell) for cell in row.values()])
    return path


@pytest.fixture
def run(cli: Cli, source: Path, tmp_path: Path) -> Path:
    code, out, err = cli("train", "data=table", f"data.path={source}", "data.label=colour", *SHORT, "hydra.run.dir=run")
    assert code == 0, err
    assert "Autoregressive" in out
    assert "  size    real" in out
    return tmp_path / "run"


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_samples_follow_conditions_and_cells_are_filled_in(cli: Cli, run: Path, source: Path, tmp_path: Path):
    assert cli("sample", "run=run", "n=50")[0] == 0
    own = read(source)
    drawn = read(run / "samples.csv")
    assert list(drawn[0]) == list(own[0])
    assert len(drawn) == 50
    assert {row["colour"] for row in drawn} <= {"red", "green", "blue"}
    assert [row["id"] for row in drawn] == [str(i + 1) for i in range(50)]
    assert {row["unit"] for row in drawn} == {"cm"}
    assert (run / "grid.png").stat().st_size > 10_000

    where = "where={colour: red, count: '>1', size: null, big: [True]}"
    code, out, _ = cli("sample", "run=run", "n=20", where)
    assert code == 0
    assert "rows drawn for 20 that fulfil them" in out
    for row in read(run / "samples.csv"):
        assert (row["colour"], row["size"], row["big"]) == ("red", "", "True")
        assert int(row["count"]) > 1

    gaps = tmp_path / "gaps.csv"
    gaps.write_text("note;colour;count;when\nfirst;red;;2020-05-05\nsecond;;2;\n")
    code, out, _ = cli("sample", "run=run", f"fill={gaps}")
    assert code == 0
    filled = read(run / "filled.csv")
    assert [row["note"] for row in filled] == ["first", "second"]
    assert (filled[0]["colour"], filled[0]["when"], filled[1]["count"]) == ("red", "2020-05-05", "2")
    assert all(row["colour"] and row["count"] and row["when"] for row in filled)
    assert set(filled[0]) == {"note", "colour", "count", "when", "size", "big"}


def test_a_run_and_a_file_of_samples_are_evaluated_by_the_same_measures(cli: Cli, run: Path, source: Path):
    assert cli("evaluate", "run=run", "samples=60", "device=cpu")[0] == 0
    report = json.loads((run / "evaluation.json").read_text())
    measures = report["measures"]
    expected = {"column_ks", "column_tv", "trend_error", "detection_auc", "utility_auc", "beta_recall", "exact_copies"}
    assert expected <= set(measures)
    assert {"missing_error", "out_of_range", "nll"} <= set(measures)
    assert set(report["columns"]) == {"colour", "size", "count", "when", "big"}
    assert measures["column_tv"]["floor"] < measures["column_tv"]["value"] + 0.2
    words = ("data=table", f"data.path={source}", "data.label=colour", "out=there", "device=cpu")
    code, _, err = cli("evaluate", f"samples={source}", *words)
    assert code == 0, err
    real = json.loads(Path("there/evaluation.json").read_text())["measures"]
    assert real["exact_copies"]["value"] > 0.6  # the file holds the training rows
    assert real["out_of_range"]["value"] < 0.1


def test_a_loaded_model_takes_and_gives_frames(run: Path, source: Path):
    pandas = pytest.importorskip("pandas")
    model = genlab.load(run)
    frame = model.sample(20, seed=0)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(read(source)[0])
    assert str(frame["when"].dtype) in ("object", "date32[day][pyarrow]")
    assert model.log_prob(frame).shape == (20,)
    with pytest.raises(UserError, match="lacks the columns 'colour'"):
        model.log_prob(frame.drop(columns=["colour"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("where={coluor: red}",), "did you mean 'colour'"),
        (("where={colour: rde}",), "has no word 'rde'; its words are blue, green, red; did you mean 'red'"),
        (("where={count: 99}",), "lies between 0 and 4 in the training data, got 99"),
        (("where={colour: '>red'}",), "holds words without an order"),
        (("where={count: null}",), "has no missing values"),
        (("where=red",), "got 'red'; write {COLUMN: VALUE"),
        (("where={count: x}",), "column 'count': 'x' is not a value such as 2"),
        (("where={count: []}",), "the list of allowed values is empty"),
        (("where={count: '==3'}",), "'=3' is not a value such as 2"),
        (("where={count: 2.5}",), "'2.5' is not a value such as 2"),
        (("where={colour: red}", "fill=nowhere.csv"), "fill and where exclude each other"),
        (("out=x.parquet",), "names a folder"),
        (("fill=nowhere.csv",), "there is no file"),
    ],
)
def test_bad_conditions_are_answered_in_one_line(cli: Cli, run: Path, words: tuple[str, ...], message: str):
    assert cli("sample", "run=run", "n=5")[0] == 0
    before = (run / "samples.csv").read_bytes()
    code, _, err = cli("sample", "run=run", *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert (run / "samples.csv").read_bytes() == before


def test_conditions_that_nothing_fulfils_end_and_leave_the_old_samples(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tables, "PATIENCE", 1)
    assert cli("sample", "run=run", "n=5")[0] == 0
    before = (run / "samples.csv").read_bytes()
    code, _, err = cli("sample", "run=run", "n=500", "where={count: '>4', colour: red}")
    assert code == 2
    assert "only 0 of" in err
    assert (run / "samples.csv").read_bytes() == before
    assert not list(run.glob(".begun*"))


def test_models_that_cannot_complete_rows_are_drawn_until_the_condition_holds(tmp_path: Path):
    data = Table(rows(200), rare=1)
    schema = data.spec.table
    assert schema is not None

    class Real:
        """Draws rows of the table itself."""

        spec, device, conditional = data.spec, torch.device("cpu"), False
        completes_any = inpaints = False

        def sample(self, n: int, y: torch.Tensor | None = None) -> torch.Tensor:
            return data.head("train", 200)["x"][torch.randint(len(data), (n,))]

    conditions = parse("{colour: green, count: '<=2'}", schema)
    found = list(tables.fulfilling(Real(), 30, conditions))
    assert sum(map(len, found)) == 30
    assert all(conditions.hold(units).all() for units in found)
    assert write(tmp_path / "s.csv", schema, found) == 30


def test_tables_have_a_default_model_of_their_own():
    assert prepared("train", ["data=table", "data.path=x"])[-1] == "model=autoregressive"
    for words in (["data=table", "model=ddpm"], ["data=mnist"], ["data=table", "resume=run"]):
        assert "model=autoregressive" not in prepared("train", words)


def test_given_numbers_are_kept_to_the_last_digit(cli: Cli, tmp_path: Path):
    """The encoding is in single precision, so that 123456789 would come back as another number."""
    file = tmp_path / "big.csv"
    file.write_text(
        "amount,word\n" + "".join(f"{100_000_000 + 7_654_321 * i % 899_999_999},{i % 3}\n" for i in range(200))
    )
    assert cli("train", "data=table", f"data.path={file}", *SHORT, "hydra.run.dir=big")[0] == 0
    code, _, err = cli("sample", "run=big", "n=5", "where={amount: 123456789}")
    assert code == 0, err
    with open("big/samples.csv", encoding="utf-8", newline="") as drawn:
        assert {row["amount"] for row in csv.DictReader(drawn)} == {"123456789"}
    assert cli("evaluate", f"samples={file}", "data=table", f"data.path={file}", "out=same", "device=cpu")[0] == 0
    assert json.loads(Path("same/evaluation.json").read_text())["measures"]["exact_copies"]["value"] > 0.7


def test_filled_cells_are_not_missing_and_rows_are_not_invented(cli: Cli, run: Path, tmp_path: Path):
    gaps = tmp_path / "gaps.csv"
    gaps.write_text("colour;size\n" + "red;\n" * 60)
    assert cli("sample", "run=run", f"fill={gaps}")[0] == 0
    assert all(row["size"] for row in read(run / "filled.csv"))
    gaps.write_text("other\n1\n")
    assert "has none of the columns" in cli("sample", "run=run", f"fill={gaps}")[2]


def test_derived_columns_are_rounded_and_keep_their_gaps():
    price = [round(0.1 * (i % 17) + 0.07, 2) for i in range(60)]
    table = pyarrow.table({"price": price, "count": [i % 5 for i in range(60)]})
    total = [None if i % 6 == 0 else round(p * (i % 5), 2) for i, p in enumerate(price)]
    data = Table(table.append_column("total", pyarrow.array(total)), constraints=["total == price * count"])
    schema = data.spec.table
    assert schema is not None
    units, good = schema.fulfil(data.real("train", 60))
    totals = schema.named(units)["total"]
    assert good.all()
    assert totals.isnan().any()
    known = totals[~totals.isnan()]
    assert torch.equal(known, torch.round(known, decimals=2))


def test_texts_for_missing_values_are_remembered(cli: Cli, tmp_path: Path):
    file = tmp_path / "dash.csv"
    file.write_text("a,b\n" + "".join(f"{'-' if i % 4 == 0 else i % 9},{i % 3}\n" for i in range(100)))
    words = ("data=table", f"data.path={file}", "data.missing=[-]")
    assert cli("train", *words, *SHORT, "hydra.run.dir=dash")[0] == 0
    assert cli("sample", "run=dash", "n=40")[0] == 0
    assert cli("evaluate", "samples=dash/samples.csv", *words, "out=judged", "device=cpu")[0] == 0
    gaps = tmp_path / "gaps.csv"
    gaps.write_text("a,b\n-,1\n3,-\n")
    assert cli("sample", "run=dash", f"fill={gaps}")[0] == 0
    assert "-" not in Path("dash/filled.csv").read_text()


def test_the_measures_of_tables_are_listed(cli: Cli):
    out = cli("list", "measures")[1]
    assert "detection_auc" in out
    assert "exact_copies" in out


def test_a_class_is_asked_for_by_its_column(cli: Cli, run: Path):
    code, _, err = cli("sample", "run=run", "y=red")
    assert code == 2
    assert "where={colour: red}" in err


def test_samples_are_judged_as_they_are_written_with_constraints_fulfilled():
    start = torch.arange(200) % 20
    source = pyarrow.table({"start": start.tolist(), "end": (start + 1 + torch.arange(200) % 7).tolist()})
    data = Table(source, constraints=["start < end"])

    class Careless:
        """Draws starts and ends independently of one another."""

        spec, device = data.spec, torch.device("cpu")

        def sample(self, n: int, y: torch.Tensor | None = None) -> torch.Tensor:
            x = data.head("train", 150)["x"]
            return torch.cat([x[torch.randint(len(x), (n,)), i : i + 1] for i in range(2)], dim=1)

    torch.manual_seed(0)
    schema = data.spec.table
    assert schema is not None
    model = Careless()
    assert not schema.fulfil(data.spec.decode(model.sample(300)))[1].all()
    assert schema.fulfil(abilities.samples_in_units(model, 300))[1].all()


def test_a_column_named_twice_in_a_condition_is_refused():
    schema = Table(rows(100), rare=1).spec.table
    assert schema is not None
    with pytest.raises(UserError, match="where: column 'count' is named twice; give a list of values"):
        parse("{count: '>1', colour: red, count: '<3'}", schema)


def test_two_tables_are_translated_on_the_scale_of_both(cli: Cli, tmp_path: Path):
    """The prices of one shop lie far above those of the other: translations reach them."""
    noise = torch.rand(240, generator=torch.Generator().manual_seed(0))
    for name, base in (("a", 10), ("b", 100)):
        lines = [f"{'xy'[i % 2]},{base * (1 + value):.2f}" for i, value in enumerate(noise.tolist())]
        (tmp_path / f"{name}.csv").write_text("kind,price\n" + "\n".join(lines) + "\n")
    words = (
        "model=cyclegan",
        "data=table",
        "data.path=a.csv",
        "data.other=b.csv",
        "trainer.steps=3",
        "trainer.device=cpu",
    )
    assert cli("train", *words, "hydra.run.dir=both")[0] == 0
    assert cli("sample", "run=both", "n=10")[0] == 0
    with open("both/originals.csv", encoding="utf-8") as file:
        assert max(float(row["price"]) for row in csv.DictReader(file)) < 21
    data = Table("a.csv", other="b.csv")
    assert data.other is not None
    schema = data.spec.table
    assert schema is not None
    low, high = (schema.named(part.real("train", 100))["price"] for part in (data, data.other))
    assert low.max() < 21 < 99 < high.min()
    assert data.fingerprint != Table("a.csv").fingerprint
    (tmp_path / "c.csv").write_text("kind,cost\nx,1\ny,2\nx,3\n")
    code, _, err = cli("train", *words[:3], "data.other=c.csv")
    assert code == 2
    assert "must have the same columns; only one has 'cost'" in err
    assert "data.other does not apply to this model" in cli("train", "model=vae", *words[1:4])[2]
