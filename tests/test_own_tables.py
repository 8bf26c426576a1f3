"""User tables and arrays are read completely or refused by line and column, and written back in their units."""

import re
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from conftest import equal
from hypothesis import given, settings
from hypothesis import strategies as st
from own_files import NAMES, paint, values, write

from genlab.data.array import Array
from genlab.data.base import Spec
from genlab.data.csv_file import number, read_csv
from genlab.data.fields import numeric
from genlab.data.splits import plan
from genlab.errors import UserError

pytestmark = pytest.mark.usefixtures("cache")


def test_columns_are_standardised_over_the_training_split_and_decoded_back(tmp_path):
    raw = values()
    data = Array(str(write(tmp_path / "t.csv", raw)))
    assert [len(data.splits[name].x) for name in ("train", "validation", "test")] == [160, 20, 20]
    train = data.splits["train"].x
    torch.testing.assert_close(train.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)
    assert [column.name for column in data.spec.columns] == list(NAMES)
    back = torch.cat([data.real(name, 200) for name in ("train", "validation", "test")]).numpy()
    # Standardised values have single precision: 1e-6 deviations. Every row is there once.
    order = np.argsort(back[:, 1]), np.argsort(raw[:, 1])
    assert np.abs((back[order[0]] - raw[order[1]]) / raw.std(0)).max() < 2e-6
    torch.testing.assert_close(data.spec.standardise(data.decode(train)), train, rtol=0, atol=1e-6)  # single precision


def test_log_scale_is_the_log_determinant_of_decoding(tmp_path):
    """For x = (v - m) / s, log p(v) = log p(x) - Σ log s; autograd gives the determinant of the map."""
    spec = Array(str(write(tmp_path / "t.csv", values()))).spec
    jacobian = torch.autograd.functional.jacobian(
        lambda x: spec.decode(x[None])[0], torch.zeros(5, dtype=torch.float64)
    )
    assert isinstance(jacobian, torch.Tensor)
    assert spec.log_scale == pytest.approx(jacobian.slogdet().logabsdet.item(), abs=1e-9)  # float64


def test_the_same_table_in_every_format_gives_the_same_data(tmp_path):
    raw, labels = values(), ["1", "10", "2", "3"] * 50
    expected = Array(str(write(tmp_path / "t.csv", raw, labels=labels)), label="kind")
    assert expected.spec.labels == ("1", "2", "3", "10")  # numbers sorted by value
    np.save(tmp_path / "t.npy", raw)
    np.savez(tmp_path / "t.npz", x=raw, y=np.array([int(each) for each in labels]))
    text = (tmp_path / "t.csv").read_text().replace(",", ";")
    (tmp_path / "semicolons and ä.csv").write_text("\ufeff" + text, encoding="utf-8")
    for data in (Array(str(tmp_path / "t.npz")), Array(str(tmp_path / "semicolons and ä.csv"), label="kind")):
        assert equal(data.splits["train"].x, expected.splits["train"].x)
        assert data.spec.labels == expected.spec.labels
    unlabelled = Array(str(tmp_path / "t.npy"))
    assert equal(Array(str(tmp_path / "t.csv"), columns=list(NAMES)).splits["train"].x, unlabelled.splits["train"].x)
    assert equal(Array(str(tmp_path / "t.npz")).splits["test"].y, expected.splits["test"].y)
    assert Array(str(tmp_path / "t.npy")).spec.columns[1].name == "x1"
    assert Array(str(tmp_path / "t.csv"), columns=["huge"]).spec.shape == (1,)


def test_parquet_is_read_or_the_error_says_how_to_install_pyarrow(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyarrow", None)
        (tmp_path / "t.parquet").write_bytes(b"PAR1")
        with pytest.raises(UserError, match=r"pip install 'genlab\[tables\]'"):
            Array(str(tmp_path / "t.parquet"))
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    with pytest.raises(UserError, match=r"t\.parquet cannot be read as parquet"):
        Array(str(tmp_path / "t.parquet"))
    raw = values()
    columns = {name: raw[:, i] for i, name in enumerate(NAMES)} | {"kind": ["a", "b"] * 100}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    expected = Array(str(write(tmp_path / "t.csv", raw, labels=["a", "b"] * 100)), label="kind")
    assert equal(Array(str(tmp_path / "t.parquet"), label="kind").splits["train"].x, expected.splits["train"].x)
    with pytest.raises(UserError, match="'kind' has type string"):
        Array(str(tmp_path / "t.parquet"))
    parquet.write_table(pyarrow.table({"a": [1.0, None, 2.0]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="row 2, column 'a'"):
        Array(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,NaN\n", r"line 3, column 'b': 'NaN' is not a finite number"),
        ("a,b\n\n1,2\n3,six\n", r"line 4, column 'b': 'six' is not a number"),
        ("a,b\n1,\n", r"line 2, column 'b': the cell is empty"),
        ("a,b\n1,1e999\n", r"line 2, column 'b'"),
        ("a,b\n1,2\n1,2,3\n", r"line 3 has 3 cells, but there are 2 columns"),
        ("a,b\n1,2\n1\n", r"line 3 has 1 cells"),
        ("", r"t\.csv is empty"),
        ("a,b\n", r"0 samples"),
        ("a,b\n1,2\n3,4\n", r"none to train on"),
        ("1,2\n3,4\n", r"line 1 is all numbers.*data\.header=false"),
        ("a,a\n1,2\n", r"two columns are called 'a'"),
        ("a,\n0,1\n", r"column 2 has no name"),
        (
            "a,b\n" + "".join(f"{i},7\n" for i in range(30)),
            r"constant in all 24 rows .*: column 'b' is 7;",
        ),
        ('a,b\n1,"2\n', r"line 2: unexpected end of data"),
        ("a,b\n1," + "x" * 200_000 + "\n", r"line 2, column 'b': 'x{30}\.\.\.' is not a number"),
    ],
)
def test_bad_tables_are_refused_by_line_and_column(tmp_path, text, message):
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        Array(str(file))
    assert "\n" not in str(caught.value)
    assert "t.csv" in str(caught.value) or "data.path" in str(caught.value)


def test_bad_arrays_and_options_are_refused(tmp_path):
    table = str(write(tmp_path / "t.csv", values(20), labels=["a", "b"] * 10))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"label": "kin"}, "did you mean 'kind'"),
        ({"columns": ["tiny", "plian"]}, "did you mean 'plain'"),
        ({"columns": ["kind"], "label": "kind"}, "data.columns"),
        ({"key": "x"}, "data.key does not apply to .csv files"),
        ({"validation": 1.0, "label": "kind"}, "data.validation"),
        ({}, "column 'kind': 'a' is not a number"),
    ]
    for options, message in wrong:
        with pytest.raises(UserError, match=message):
            Array(table, **options)
    for name, array, message in (
        ("nan", np.array([[1.0], [np.inf]]), "row 2, column 'x0'"),
        ("objects", np.array([{}], dtype=object), "Python objects"),
        ("floats", np.zeros((4, 3, 8, 8)), r"uint8 images"),
        ("complex", np.zeros((4, 2), complex), "complex128"),
    ):
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        with pytest.raises(UserError, match=message):
            Array(str(tmp_path / f"{name}.npy"))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(UserError, match=r"data\.key: two\.npz has a, b"):
        Array(str(tmp_path / "two.npz"))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "floats.npy").read_bytes()[:300])
    with pytest.raises(UserError, match=r"cut\.npy cannot be read"):
        Array(str(tmp_path / "cut.npy"))
    with pytest.raises(UserError, match=r"none of \.csv"):
        Array(str(paint(tmp_path / "a.png")))
    with pytest.raises(UserError, match="there is no file"):
        Array(str(tmp_path / "absent.csv"))


# Values must be read as they were meant.


def lines(*columns) -> str:
    """Returns the rows of a table with these columns, each a list of cells."""
    return "".join(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1_0", "'1_0' is not a number"),
        ("01234", "'01234' begins with a zero"),
        ("-01", "'-01' begins with a zero"),
        ("٣", "'٣' is not a number"),
        ("0x1F", "'0x1F' is not a number"),
        ("Infinity", "'Infinity' is not a finite number"),
        ('"1,000"', "'1,000' is not a number; write a decimal point"),
        ("1 000", "'1 000' is not a number"),
        ("True", "'True' is not a number; write 1 and 0"),
        ("9007199254740993", "has more digits than a double holds"),
    ],
)
def test_text_that_only_python_takes_for_a_number_is_refused(tmp_path, cell, message):
    file = tmp_path / "t.csv"
    file.write_text("code,b\n" + lines([5, cell, *range(18)], range(20)), encoding="utf-8")
    with pytest.raises(UserError, match=rf"line 3, column 'code': .*{message}.*data\.columns=\[\.\.\.\]"):
        Array(str(file))
    assert Array(str(file), columns=["b"]).spec.shape == (1,)


def test_numbers_in_all_usual_spellings_are_read(tmp_path):
    cells = ["0", "-0.5", "+.5", "5.", "1e-05", "2E3", '" 7 "', "0.25", "\u00a08", "100000000000000000000"]
    (tmp_path / "t.csv").write_text('\ufeff"a",b\n' + lines(cells, range(10)), encoding="utf-8")
    table = read_csv(tmp_path / "t.csv")
    assert table.names == ("a", "b")  # without the byte-order mark
    assert table.x[:, 0].tolist() == [0, -0.5, 0.5, 5, 1e-5, 2000, 7, 0.25, 8, 1e20]


DECIMAL = re.compile(r"\s*[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
CELL = st.text("0019.eE+-_, \u0663\u00b2nax", max_size=6) | st.floats().map(repr) | st.integers(0, 2**53).map(str)


@settings(deadline=None, database=None, derandomize=True)
@given(CELL)
def test_only_decimal_numbers_are_numbers(cell):
    assert (number(cell) is not None) == (DECIMAL.fullmatch(cell) is not None and bool(np.isfinite(float(cell))))


@pytest.mark.parametrize("word", ["", "NA", "nan", "NULL", "None", "N/A"])
def test_a_missing_label_is_refused_by_line(tmp_path, word):
    file = tmp_path / "t.csv"
    file.write_text("a,k\n" + lines(range(20), ["x", word, "y", word] * 5))
    with pytest.raises(UserError, match=r"line 3, column 'k': the label is missing \(and in 9 more rows\)"):
        Array(str(file), label="k")


@pytest.mark.parametrize(
    ("y", "names"),
    [
        ([True, False], ("False", "True")),
        ([10, 2], ("2", "10")),
        ([10.0, 2.0], ("2", "10")),
        (["b", "a"], ("a", "b")),
        ([b"b", b"a"], ("a", "b")),
        (np.array([0.1, 0.2], np.float32), ("0.1", "0.2")),
        ([[1], [2]], ("1", "2")),
    ],
)
def test_labels_of_an_npz_file_get_sensible_names(tmp_path, y, names):
    y = np.asarray(y)
    np.savez(tmp_path / "t.npz", x=np.arange(20.0), y=np.concatenate([y] * 10))
    assert Array(str(tmp_path / "t.npz")).spec.labels == names


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([1.0, np.nan] * 10), "row 2, column 'y': the label is missing"),
        (np.array(["", "a"] * 10), "row 1, column 'y': the label is missing"),
        (np.eye(20), r"labels 'y' of shape \(20, 20\) for 20 samples"),
        (np.arange(3), r"labels 'y' of shape \(3,\)"),
        (np.arange(20).astype("M8[D]"), r"labels 'y' of datetime64\[D\]"),
    ],
)
def test_labels_of_an_npz_file_that_are_not_classes_are_refused(tmp_path, y, message):
    np.savez(tmp_path / "t.npz", x=np.arange(20.0), y=y)
    with pytest.raises(UserError, match=message):
        Array(str(tmp_path / "t.npz"))


def test_one_class_in_two_spellings_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,k\n" + lines(range(20), ["1", "1.0"] * 10))
    with pytest.raises(UserError, match=r"one class as '1' and as '1\.0'"):
        Array(str(tmp_path / "t.csv"), label="k")
    (tmp_path / "t.csv").write_text("a,k\n" + lines(range(20), ["1", "two", "1.0", "x"] * 5))
    with pytest.raises(UserError, match=r"one class as '1' and as '1\.0'"):
        Array(str(tmp_path / "t.csv"), label="k")


def test_arrays_that_are_not_read_are_reported(tmp_path, capsys):
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).normal(size=(20, 2)), labels=np.arange(20) % 2)
    assert Array(str(tmp_path / "t.npz")).spec.classes == 0
    assert "t.npz: ignored: 'labels'; only 'x' and the labels 'y' are read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("header", "delimiter", "names"),
    [
        ('"a,b,c";"d"', ";", ["a,b,c", "d"]),
        ('"x, m"\t"y, m"', "\t", ["x, m", "y, m"]),
        ("a,b;c", ";", ["a,b", "c"]),  # a tie, decided by the next line
        ('"a;b",c', ",", ["a;b", "c"]),
        ('5" pipe;6" pipe', ";", ['5" pipe', '6" pipe']),
        ('\n\n"a\nb,c,d";e', ";", ["a\nb,c,d", "e"]),
    ],
)
def test_delimiters_are_counted_only_outside_quotes(tmp_path, header, delimiter, names):
    rows = "".join(f"{i}{delimiter}{i * i}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}")
    assert [column.name for column in Array(str(tmp_path / "t.csv")).spec.columns] == names


def test_a_pandas_index_is_left_out(tmp_path, capsys):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "t.csv").write_text("Unnamed: 0,a\n" + lines(range(20), range(20)))
    assert [column.name for column in Array(str(tmp_path / "t.csv")).spec.columns] == ["a"]
    assert capsys.readouterr().out.startswith("t.csv: left out: 'Unnamed: 0'")
    assert [c.name for c in Array(str(tmp_path / "t.csv"), columns=["Unnamed: 0"]).spec.columns] == ["Unnamed: 0"]
    table = pyarrow.table({"a": range(20), "id": range(20), "__index_level_0__": range(20)})
    for metadata, left in (
        (b'{"index_columns": ["id"]}', ["a"]),
        (b'{"index_columns": [{"kind": "range", "start": 0}]}', ["a", "id"]),
        (b"[1", ["a", "id"]),
    ):
        parquet.write_table(table.replace_schema_metadata({b"pandas": metadata}), tmp_path / "t.parquet")
        assert [column.name for column in Array(str(tmp_path / "t.parquet")).spec.columns] == left
    (tmp_path / "t.csv").write_text(",a\n" + lines(range(20), range(20)))  # what pandas writes by default
    assert [column.name for column in Array(str(tmp_path / "t.csv")).spec.columns] == ["a"]
    (tmp_path / "t.csv").write_text('"b, c",,y\n' + "".join(f"{i},{i},{i % 2}\n" for i in range(20)))
    with pytest.raises(UserError, match=r"column 2 has no name in the header.*data\.columns=\['b, c'\]\""):
        Array(str(tmp_path / "t.csv"), label="y")


def test_parquet_columns_of_every_kind_are_read_correctly_or_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def read(column, label=None, **more) -> Array:
        parquet.write_table(pa.table({"a": column, **more}), tmp_path / "t.parquet")
        return Array(str(tmp_path / "t.parquet"), label=label)

    n = range(20)
    for column in (
        pa.array(np.arange(20, dtype=np.float16)),
        pa.array([Decimal(i) for i in n], pa.decimal128(20, 5)),
        pa.array(n, pa.uint64()),
    ):
        assert read(column).spec.columns[0].mean == read(pa.array(n)).spec.columns[0].mean
    for column, message in (
        (pa.array([2**53 + 1 + i for i in n], pa.int64()), "row 1, column 'a': 9007199254740993 has more digits"),
        (pa.array([2**63 + i for i in n], pa.uint64()), "row 2, column 'a': 9223372036854775809 has more digits"),
        (pa.array([Decimal(2**53 + 1 + i) for i in n], pa.decimal128(38, 0)), "row 1, column 'a': .* more digits"),
        (pa.array([timedelta(i) for i in n]), "column 'a' has type duration"),
        (pa.array([1, None] * 10), r"row 2, column 'a': the number is missing \(null or NaN\) \(and 9 more\)"),
        (pa.array([], pa.float64()), "0 samples"),
    ):
        with pytest.raises(UserError, match=message):
            read(column)
    for labels, names in (
        ([True, False] * 10, ("False", "True")),
        ([10.0, 2.0] * 10, ("2", "10")),
        (pa.array(["b", "a"] * 10).dictionary_encode(), ("a", "b")),
    ):
        assert read(pa.array(n), "k", k=labels).spec.labels == names
    for labels, message in (
        (["x", None] * 10, "row 2, column 'k': the label is missing"),
        ([1.0, float("nan")] * 10, "row 2, column 'k': the label is missing"),
        ([[1]] * 20, "column 'k' has type list"),
    ):
        with pytest.raises(UserError, match=message):
            read(pa.array(n), "k", k=labels)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.arange(20) + 2**53 + 1, "column 'x0': 9007199254740993 has more digits"),
        (2**63 - 1 - np.arange(20), "column 'x0': 9223372036854775807 has more digits"),
        (np.array(3.0), "a single number, not an array"),
        (np.arange(20).astype("M8[D]"), r"datetime64\[D\] of shape \(20,\)"),
        (np.zeros((20, 8, 8)), r"float64 of shape \(20, 8, 8\)"),  # and not (20, 1, 8, 8)
        (np.ones((20, 8, 8), np.uint8), "largest pixel is 1, .*multiply them by 255"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
    ],
)
def test_arrays_that_would_be_misread_are_refused(tmp_path, x, message):
    np.save(tmp_path / "t.npy", x)
    with pytest.raises(UserError, match=message):
        Array(str(tmp_path / "t.npy"))


def test_arrays_of_every_layout_and_precision_give_the_same_numbers(tmp_path):
    x = np.arange(60.0).reshape(20, 3) - 30
    for variant in (x, np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1], x.astype(">f4"), x.astype(np.float16)):
        np.save(tmp_path / "t.npy", variant)
        assert [column.mean for column in Array(str(tmp_path / "t.npy")).spec.columns] == [-3.5625, -2.5625, -1.5625]


# One extreme cell must not spoil a column.


def with_extreme_cell(n: int, where: int, cell: float) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=n)
    x[where] = cell
    return x


@pytest.mark.parametrize("cell", [1e12, -1e15, 1e300])
def test_an_extreme_cell_that_flattens_its_column_is_refused(tmp_path, cell):
    (tmp_path / "t.csv").write_text("a,b\n" + lines(with_extreme_cell(300, 7, cell), range(300)))
    with pytest.raises(UserError, match=r"column 'a'"):
        Array(str(tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_text("a,b\n" + lines(with_extreme_cell(300, 7, 1e12), range(300)))
    with pytest.raises(UserError, match=r"line 9, column 'a': 1e\+12 is so far from the others"):
        Array(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    "column",
    [
        np.where(np.arange(300) == 7, 1e12, np.arange(300) % 2),  # a flag with one mistake
        np.where(np.arange(300) % 10 == 0, -1e15, with_extreme_cell(300, 0, 0)),  # a number that stands for "missing"
        np.where(np.arange(300) % 50 == 1, np.arange(300), 0) + np.where(np.arange(300) == 7, 1e14, 0),  # mostly zero
    ],
)
def test_numbers_that_an_extreme_one_makes_indistinguishable_are_refused(tmp_path, column):
    np.save(tmp_path / "t.npy", column)
    with pytest.raises(UserError, match="cannot be told apart in single precision"):
        Array(str(tmp_path / "t.npy"))


@pytest.mark.parametrize(
    "column",
    [
        np.exp(3 * with_extreme_cell(2000, 0, 0)),  # lognormal
        1.7e9 + with_extreme_cell(300, 0, 0),  # seconds since 1970
        np.random.default_rng(0).standard_cauchy(5000),
        np.where(np.arange(300) == 7, 1e6, 0),
        np.where(np.arange(300) % 2, 1e-17 * np.arange(300), np.arange(300)),  # zeros with rounding errors
        np.arange(300) % 2,
    ],
)
def test_valid_columns_with_a_wide_range_are_read(tmp_path, column):
    np.save(tmp_path / "t.npy", column)
    assert Array(str(tmp_path / "t.npy")).spec.shape == (1,)


def test_a_held_out_cell_beyond_single_precision_is_refused(tmp_path):
    held_out = plan(300, None, 0.1, 0.1).places[-1].item()
    (tmp_path / "t.csv").write_text("a\n" + lines(with_extreme_cell(300, int(held_out), 1e300)))
    with pytest.raises(UserError, match=rf"line {held_out + 2}, column 'a': 1e\+300 is too far"):
        Array(str(tmp_path / "t.csv"))


# Messages name everything that is wrong.


def test_one_message_names_all_bad_columns(tmp_path):
    file = tmp_path / "t.csv"

    def refusal(text: str, **options) -> str:
        file.write_text(text)
        with pytest.raises(UserError) as caught:
            Array(str(file), **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    bad = refusal("a,b,c,d,e,f\n" + "x,1,y,,w,v\n" * 20)
    assert "line 2, column 'a': 'x' is not a number (and 19 more); line 2, column 'c': " in bad
    assert "column 'd': the cell is empty (and 19 more) and 2 more columns" in bad
    constant = refusal("a,b,c\n" + "".join(f"1,{i},2\n" for i in range(20)))
    assert "column 'a' is 1, column 'c' is 2; a constant" in constant
    absent = refusal("a,b,c\n1,2,3\n", columns=["aa", "b", "q"])
    assert "no column 'aa', 'q'; its columns are a, b, c" in absent
    assert "one row is left to train on" in refusal("a,b\n1,2\n1,3\n1,4\n")
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({f"s{i}": ["x"] * 20 for i in range(5)}), file)
    with pytest.raises(UserError, match=r"'s0' has type string, .* and 2 more columns; columns must be numbers"):
        Array(str(file))


# Versions


def test_a_rare_class_of_a_table_is_in_the_training_split(tmp_path):
    kinds = ["x", "y"] * 50
    for row in range(100):  # wherever it occurs
        if row % 9 == 0:
            labels = [*kinds[:row], "rare", *kinds[row + 1 :]]
            data = Array(str(write(tmp_path / "t.csv", values(100), labels=labels)), label="kind")
            train = data.splits["train"].y
            assert train is not None
            assert (train == data.spec.labels.index("rare")).sum() == 1


def test_version_1_reads_and_splits_as_before(tmp_path):
    """The fingerprint was recorded before version 2 was added."""
    rows = "".join(f"{i},{i * i % 7},{['1', '10', '2'][i % 3]}\n" for i in range(20))
    (tmp_path / "t.csv").write_text("a,b,k\n" + rows)
    old = Array(str(tmp_path / "t.csv"), label="k", version=1)
    assert old.fingerprint == "0f2017fcbee7994b"
    assert equal(old.splits["test"].y, torch.tensor([2, 1]))
    assert Array(str(tmp_path / "t.csv"), label="k").fingerprint != old.fingerprint
    (tmp_path / "t.csv").write_text("Unnamed: 0,b,k\n" + lines(range(20), ["1_0", "01"] * 10, ["nan", "None"] * 10))
    columns = (numeric("Unnamed: 0", 8.8125, 5.491114982405668), numeric("b", 4.9375, 4.4647053374214964))
    spec = Array(str(tmp_path / "t.csv"), label="k", version=1).spec
    assert spec == Spec((2,), 2, columns, ("None", "nan"))
    with pytest.raises(UserError, match=r"data\.version: '3' is none of 1, 2"):
        Array(str(tmp_path / "t.csv"), version=3)


def test_arrays_of_uint8_are_read_as_images(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (10, 28, 28, 3)).astype(np.uint8)
    np.save(tmp_path / "last.npy", x)
    np.save(tmp_path / "first.npy", x.transpose(0, 3, 1, 2))
    last, first = Array(str(tmp_path / "last.npy")), Array(str(tmp_path / "first.npy"))
    assert last.spec == Spec((3, 28, 28), 0, "unit")
    assert equal(last.splits["train"].x, first.splits["train"].x)
