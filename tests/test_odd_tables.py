"""Tables as people have them: what is read from each, what samples are written like, what is said of a bad one."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genlab.data.columns.schema import Schema
from genlab.data.frames import given, read
from genlab.data.frames.write import suffix, write
from genlab.data.table import Table
from genlab.errors import UserError


def lines(header: str, row: Callable[[int], str], n: int = 30) -> str:
    return "\n".join([header, *(row(i) for i in range(n))]) + "\n"


# file name -> its content, options, kinds of the columns, a row of samples
GOOD: dict[str, tuple[str | bytes, dict[str, Any], list[str], str]] = {
    "comma_decimals.csv": (
        lines("x;y", lambda i: f"{i * 1.5:.2f};{'ab'[i % 2]}".replace(".", ",")),
        {},
        ["real", "category"],
        "25,50;b",
    ),
    "tab.tsv": (lines("x\ty", lambda i: f"{i * 7 % 13}\t{i % 3}"), {}, ["integer", "integer"], "2\t2"),
    "bar.csv": (lines("x|y", lambda i: f"{i * 7 % 13}|{i % 3}"), {}, ["integer", "integer"], "2|2"),
    "thousands.csv": (
        lines("a,b", lambda i: f'"{1000 + i * i * 37:,}",{i % 5}'),
        {},
        ["integer", "integer"],
        '"11,693",2',
    ),
    "german.csv": (
        lines("a;b", lambda i: f"{i + 1}.{(i * 37) % 900 + 100},{i % 90 + 10};{i % 5}"),
        {},
        ["real", "integer"],
        "18.729,27;2",
    ),
    "dollars.csv": (
        lines("price,b", lambda i: f'"{"-" if i % 5 == 0 else ""}${1000 + 37.5 * i:,.2f}",{i % 3}'),
        {},
        ["real", "integer"],
        '"$1,637.50",2',
    ),
    "euros.csv": (lines("price;b", lambda i: f"{i * 7 % 13},50 €;{i % 3}"), {}, ["real", "integer"], "2,50 €;2"),
    "percent.csv": (lines("share,b", lambda i: f"{i * 7 % 13} %,{i % 3}"), {}, ["integer", "integer"], "2 %,2"),
    "by_chance.csv": (lines("price_index,b", lambda i: f"{i * 7 % 31},{i % 3}"), {}, ["integer", "integer"], "26,2"),
    "keys.csv": (lines("customer_id,b", lambda i: f"{90000 + i * 7 % 31},{i % 3}"), {}, ["id", "integer"], "90000,2"),
    "bom.csv": (lines("\ufeffa,b", lambda i: f"{i * 3 % 7},{i % 5}"), {}, ["integer", "integer"], "2,2"),
    "spaces.csv": (
        lines("a, b , c", lambda i: f"{i % 7},  x{i % 2} , {i % 3}"),
        {},
        ["integer", "category", "integer"],
        "3,x1,2",
    ),
    "spaces_quotes.csv": (lines("a, b", lambda i: f'{i % 7}, "x, {i % 2}"'), {}, ["integer", "category"], '3,"x, 1"'),
    "index.csv": (lines(",a,b", lambda i: f"{i},{i * 3 % 7},{i % 5}"), {}, ["integer", "integer"], "2,2"),
    "latin.csv": (
        lines("größe,b", lambda i: f"{i * 3 % 7},é{i % 2}").encode("latin-1"),
        {},
        ["integer", "category"],
        "2,é1",
    ),
    "utf16.csv": (
        lines("a,b", lambda i: f"{i * 3 % 7},é{i % 2}").encode("utf-16"),
        {},
        ["integer", "category"],
        "2,é1",
    ),
    "codes.csv": (lines("zip,b", lambda i: f"0{1000 + i % 4},{i % 5}"), {}, ["category", "integer"], "01001,2"),
    "underscores.csv": (lines("a,b", lambda i: f"14_{800 + i % 4},{i % 5}"), {}, ["category", "integer"], "14_801,2"),
    "gaps.csv": (
        lines("a,b", lambda i: f"{'' if i % 4 == 0 else i % 9},{'NA' if i % 5 == 0 else 'xyz'[i % 3]}"),
        {},
        ["integer", "category"],
        "8,z",
    ),
    "dashes.csv": (
        lines("a,b", lambda i: f"{'-' if i % 3 else i % 9},{i % 3}"),
        {"missing": ["-"]},
        ["integer", "integer"],
        "-,2",
    ),
    "constant.csv": (lines("a,b,c", lambda i: f"7,{i % 3},"), {}, ["constant", "integer", "constant"], "7,2,"),
    "numbered.csv": (lines("id,b", lambda i: f"{100 + i},{i % 3}"), {}, ["id", "integer"], "100,2"),
    "identifiers.csv": (lines("a,b", lambda i: f"{10**18 + i * 7},{i % 5}"), {}, ["id", "integer"], f"{10**18},2"),
    "dates.csv": (
        lines("d,b", lambda i: f"{i % 28 + 1:02d}.03.20{10 + i % 9},{i % 3}"),
        {},
        ["date", "integer"],
        "18.03.2018,2",
    ),
    "times.csv": (
        lines("d,b", lambda i: f"2020-03-{i % 28 + 1:02d}T{i % 24:02d}:15:00,{i % 3}"),
        {},
        ["datetime", "integer"],
        "2020-03-18T17:15:00,2",
    ),
    "pattern.csv": (
        lines("d,b", lambda i: f"20{10 + i % 9}{i % 12 + 1:02d},{i % 3}"),
        {"types": "{d: %Y%m}"},
        ["date", "integer"],
        "201806,2",
    ),
    "flags.csv": (lines("a,b", lambda i: f"{['yes', 'no'][i % 2]},{i % 3}"), {}, ["boolean", "integer"], "no,2"),
    "ordered.csv": (
        lines("a,b", lambda i: f"{i % 7},{'SML'[i % 3]}"),
        {"types": "{a: category, b: [S, M, L]}"},
        ["category", "ordered"],
        "3,L",
    ),
    "line_breaks.csv": (lines("a,b", lambda i: f'"x y{i % 3}\nz",{i % 5}'), {}, ["category", "integer"], '"x y2'),
    "blank_first.csv": ("\n\n" + lines("a,b", lambda i: f"{i % 7},{i % 3}"), {}, ["integer", "integer"], "3,2"),
    "one_column.csv": (lines("a", lambda i: "" if i % 3 == 0 else f"{i % 7}"), {}, ["integer"], "3"),
    "spaced_quotes.csv": (lines("a,b", lambda i: f'{i % 7}, "Male{i % 2}"'), {}, ["integer", "category"], "3,Male1"),
    "zone.csv": (
        lines("d,b", lambda i: f"2024-03-{i % 28 + 1:02d}T{i % 24:02d}:15:00Z,{i % 3}"),
        {},
        ["datetime", "integer"],
        "2024-03-18T17:15:00Z,2",
    ),
    "noon.csv": (
        lines("d,b", lambda i: f"01/{i % 28 + 1:02d}/2020 0{i % 9 + 1}:10 PM,{i % 3}"),
        {},
        ["datetime", "integer"],
        "01/18/2020 09:10 PM,2",
    ),
    "many_decimals.csv": (
        lines("a,b", lambda i: f"{(i + 1) / 7:.18f},{i % 3}"),
        {},
        ["real", "integer"],
        "2.5714286,2",
    ),
    "no_header.csv": (
        lines("1,2", lambda i: f"{i * 3 % 7},{i % 5}"),
        {"header": False},
        ["integer", "integer"],
        "3,3",
    ),
    "exponents.csv": (lines("a,b", lambda i: f"{i * 1.3:.3e},{i % 5}"), {}, ["real", "integer"], "22.1,2"),
    "packed.csv.gz": (
        gzip.compress(lines("a,b", lambda i: f"{i * 3 % 7},{i % 5}").encode()),
        {},
        ["integer", "integer"],
        "2,2",
    ),
    "left_out.csv": (
        lines("a,b c (1),ä", lambda i: f"{i % 7},{i % 3},{i % 5}"),
        {"exclude": ["b c (1)"]},
        ["integer", "integer"],
        "3,2",
    ),
}

# file name -> its content, options, what the message says
BAD: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "dash.csv": (
        lines("a,b", lambda i: f"{'-' if i % 4 == 0 else i % 9},{i % 3}"),
        {},
        r"column 'a' holds numbers .* but also '-'; .*data\.missing=\[\"\",NA,.*,-\].*\"data\.exclude=\[a\]\"",
    ),
    "infinite.csv": (
        lines("a b,b", lambda i: f"{'inf' if i == 3 else i * 1.37},{i % 3}", 200),
        {},
        r"but also 'inf'.*\"data\.exclude=\['a b'\]\"",
    ),
    "no_day.csv": (lines("d,b", lambda i: f"2020-02-{i % 31 + 1:02d},{i % 3}"), {}, "does not exist .*2020-02-30"),
    "text.csv": (
        lines("d,e,b", lambda i: f"comment {i * i},{i}x,{i % 3}", 2100),
        {},
        r"column 'd' holds free text.*column 'e' holds free text.*data\.exclude=\[d,e\]",
    ),
    "ragged.csv": ("a,b\n1,2\n3\n4,5,6\n", {}, "the header has 2 cells, but line 3 has 1, line 4 has 3"),
    "quote.csv": ('a,b\n1,"abc\n2,d\n', {}, "line 2 opens a quote that is never closed"),
    "empty.csv": ("", {}, "is empty"),
    "header_only.csv": ("a,b\n", {}, "no rows"),
    "header_unended.csv": ("a,b", {}, "no rows"),
    "mark.csv": (lines("a,b", lambda i: f"{i % 7},{i % 3}"), {"delimiter": "ab"}, "must be one character, or tab"),
    "fraction.csv": (
        lines("a,b", lambda i: f"{i % 7},{2.5 if i == 3 else i}"),
        {"types": "{b: integer}"},
        "column 'b' is not a column of whole numbers: line 5 holds '2.5'",
    ),
    "pattern.csv": (
        lines("a,b", lambda i: f"{i % 7},0{i % 9 + 1}.03.2020"),
        {"types": "{b: '%Y-%m-%d'}"},
        "does not fit the pattern %Y-%m-%d: line 2 holds '01.03.2020'",
    ),
    "varied.csv": (lines("a,b", lambda i: f"{i % 7},{i % 3}"), {"types": "{b: constant}"}, "is no constant"),
    "repeated.csv": (lines("a,b", lambda i: f"{i % 7},x"), {"types": {"b": ["x", "x"]}}, "each named once"),
    "most.csv": (lines("a,b", lambda i: f"{i % 7},{i % 7}"), {"most": 0}, "data.most: must be >= 1"),
    "quarters.csv": (
        lines("d,b", lambda i: f"{i % 12 + 1}/{i % 28 + 1}/{10 + i % 13},{i % 3}", 400),
        {},
        "if these are dates, data.types={d: ",
    ),
    "two_rows.csv": ("a,b\n1,2\n3,4\n", {}, "too few"),
    "twice.csv": (lines("a,a", lambda i: f"{i},{i}"), {}, "two columns are called 'a'"),
    "numbers_above.csv": (lines("1,2", lambda i: f"{i},{i % 5}"), {}, r"line 1 is all numbers.*data\.header=false"),
    "word.csv": (
        lines("a,b", lambda i: f"{i % 7},{'SML'[i % 3]}"),
        {"types": "{b: integer}"},
        "column 'b' is not a column of numbers: line 2 holds 'S'",
    ),
    "kind.csv": (lines("a,b", lambda i: f"{i % 7},{i % 3}"), {"types": "{b: intger}"}, "did you mean 'integer'"),
    "name.csv": (lines("aa,b", lambda i: f"{i % 7},{i % 3}"), {"types": "{aaa: integer}"}, "did you mean 'aa'"),
    "yaml.csv": (lines("a,b", lambda i: f"{i % 7},{i % 3}"), {"types": "a"}, "is not a mapping"),
    "order.csv": (
        lines("a,b", lambda i: f"{i % 7},{'SML'[i % 3]}"),
        {"types": {"b": ["S", "M"]}},
        "holds 'L', which data.types does not list",
    ),
    "label.csv": (lines("a,b", lambda i: f"{i % 7},{i % 3}"), {"label": "c"}, r"data\.label: 'c' is none of a, b"),
    "nothing.csv": (lines("a,b", lambda i: f"{i % 7},{i % 3}"), {"exclude": ["a", "b"]}, "no column is left"),
    "binary.csv": (bytes(range(256)) * 10, {}, "not a text file"),
    "broken.csv.gz": (b"not gzip", {}, "cannot read broken.csv.gz"),
    "broken.parquet": (b"not parquet", {}, "cannot read broken.parquet"),
    "sheet.xlsx": (b"", {}, "'.xlsx' is none of"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_table_is_read_and_written_in_its_own_format(name: str, tmp_path: Path):
    content, options, kinds, sample = GOOD[name]
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = Table(str(file), **options)
    schema = data.spec.table
    assert schema is not None
    assert [column.kind for column in schema.columns] == kinds
    real = data.real("train", 10_000)
    again = schema.values(schema.decode(schema.encode(real)))
    assert torch.equal(again.nan_to_num(-1), schema.values(real).nan_to_num(-1))
    written = tmp_path / f"samples{suffix(schema)}"
    assert write(written, schema, [real[:2], real[2:]]) == len(real)
    raw = written.read_bytes()
    raw = gzip.decompress(raw) if name.endswith(".gz") else raw
    text = raw.decode("utf-8" if schema.encoding == "utf-8-sig" else schema.encoding)
    assert text.split("\n")[schema.header] == sample
    assert all(any(line.startswith(f"  {column.name} ") for line in data.notes) for column in schema.columns)
    again_read = Table(str(written), **{key: value for key, value in options.items() if key != "exclude"}).spec.table
    assert again_read is not None
    assert [column.name for column in again_read.columns] == [column.name for column in schema.columns]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_answered_in_one_line(name: str, tmp_path: Path):
    content, options, message = BAD[name]
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        Table(str(file), **options)
    assert "\n" not in str(caught.value)
    assert file.name in str(caught.value) or "data." in str(caught.value)


def test_frames_of_pandas_and_parquet_keep_their_types(tmp_path: Path):
    import pandas as pd
    import pyarrow.parquet

    n = 60
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2021-01-01", periods=n, freq="h"),
            "price": np.round(np.linspace(1, 9, n), 2),
            "whole": pd.array([None if i % 7 == 0 else i % 5 for i in range(n)], dtype="Int64"),
            "flag": np.arange(n) % 3 == 0,
            "word": pd.Categorical(["a", "b", "c"] * (n // 3)),
        }
    )
    data = Table(frame)
    schema = data.spec.table
    assert schema is not None
    assert [column.kind for column in schema.columns] == ["datetime", "real", "integer", "boolean", "category"]
    path = tmp_path / "samples.parquet"
    write(path, schema, [data.real("train", n)])
    table = pyarrow.parquet.read_table(path)
    assert [str(kind) for kind in table.schema.types[:4]] == ["timestamp[us]", "double", "int64", "bool"]
    assert pyarrow.types.is_dictionary(table.schema.types[4])
    assert table.column("whole").null_count > 0
    frame.to_parquet(tmp_path / "t.parquet")
    assert Table(str(tmp_path / "t.parquet")).spec == data.spec.__class__(
        data.spec.shape, table=Table(str(tmp_path / "t.parquet")).spec.table
    )


def test_held_out_rows_are_stratified_by_the_label(tmp_path: Path):
    file = tmp_path / "t.csv"
    file.write_text(lines("a,y", lambda i: f"{i % 7},{'rare' if i % 10 == 0 else 'common'}", 200))
    data = Table(str(file), label="y")
    assert data.spec.labels == ("common", "rare")
    for split in data.splits.values():
        assert split.y is not None
        assert (split.y == 1).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert data.spec.table is not None
    assert data.spec.table.label == "y"
    assert data.spec.table.column("y").width == 2


def test_a_changed_file_has_another_fingerprint(tmp_path: Path):
    file = tmp_path / "t.csv"
    file.write_text(lines("a,y", lambda i: f"{i % 7},{i % 3}", 50))
    first = Table(str(file)).fingerprint
    assert Table(str(file)).fingerprint == first
    file.write_text(file.read_text().replace("6,0", "5,0", 1))
    assert Table(str(file)).fingerprint != first


def test_a_table_is_read_back_as_it_is_written(tmp_path: Path):
    """Rows from outside are read in the columns' own styles, however few they are."""
    text = lines(
        "when;price;count;share",
        lambda i: (
            f"2024-05-{i % 28 + 1:02d} 10:00:00.{i % 10}60;{1000 + 37 * i},5 €;{i % 9}.{i % 9}00.000;0,{i % 90:03d}"
        ),
    )
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    data = Table(str(tmp_path / "t.csv"))
    schema = data.spec.table
    assert schema is not None
    frame = read.read(str(tmp_path / "t.csv"))
    whole = schema.values(given.units(schema, frame)[0])
    for i in (0, 3, 20):  # one row alone might be read in another style
        own = frame._replace(table=frame.table.slice(i, 1))
        assert torch.equal(schema.values(given.units(schema, own)[0]), whole[i : i + 1])
    assert whole[:, 1].max() > 1000
    with pytest.raises(UserError, match=r"column 'price' is written like .* €; row 1 holds '5 \$'"):
        given.units(
            schema, read.read(pandas_frame({"when": ["2024-05-01 10:00:00.060"], "price": ["5 $"]})), partly=True
        )


def pandas_frame(cells: dict[str, list]) -> Any:
    import pandas as pd

    return pd.DataFrame(cells)


def test_parquet_types_and_forms_of_identifiers_come_back(tmp_path: Path):
    import decimal

    import pyarrow
    import pyarrow.parquet

    n = 60
    source = pyarrow.table(
        {
            "id": [f"ID{i:05d}" for i in range(n)],
            "flag": pyarrow.array([None if i % 5 == 0 else i % 2 == 0 for i in range(n)]),
            "small": pyarrow.array([i % 7 for i in range(n)], pyarrow.int8()),
            "money": pyarrow.array([decimal.Decimal(i * 7 % 50) / 4 for i in range(n)], pyarrow.decimal128(10, 2)),
            "single": pyarrow.array([i / 3 for i in range(n)], pyarrow.float32()),
            "digits": [str(i * 5 % 11) for i in range(n)],
            "always": pyarrow.array([3] * n, pyarrow.int16()),
            "never": pyarrow.array([None] * n, pyarrow.float64()),
        }
    )
    pyarrow.parquet.write_table(source, tmp_path / "t.parquet")
    data = Table(str(tmp_path / "t.parquet"))
    schema = data.spec.table
    assert schema is not None
    write(tmp_path / "s.parquet", Schema.of(schema.state()), [data.real("train", 20)])
    found = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    assert found.schema.types == source.schema.types
    assert found.column("id").to_pylist()[:2] == ["ID00000", "ID00001"]
    assert found.column("always").to_pylist() == [3] * 20
    assert found.column("never").null_count == 20


def test_what_no_model_can_read_is_refused_by_column(tmp_path: Path):
    import pyarrow

    n = 40
    nested = pyarrow.table({"a": [i % 7 for i in range(n)], "b": [[i, i] for i in range(n)]})
    with pytest.raises(UserError, match="column 'b' holds values of type list"):
        Table(nested, types={"b": "category"})
    words = Table(pandas_frame({"a": list(range(n)), "b": ["x", "y"] * (n // 2)})).spec.table
    assert words is not None
    with pytest.raises(UserError, match="column 'b' holds values of type list"):
        given.units(words, read.read(nested))
    dates = Table(pandas_frame({"a": [i % 7 for i in range(n)], "d": [f"2020-03-{i % 28 + 1:02d}" for i in range(n)]}))
    assert dates.spec.table is not None
    with pytest.raises(UserError, match="column 'd' holds integer values, not dates"):
        given.units(dates.spec.table, read.read(pandas_frame({"a": [1, 2, 3], "d": [5, 7, 9]})))
    with pytest.raises(UserError, match="frame cannot be read"):
        Table(pandas_frame({"a": [1]})["a"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = b", "write == for equal"),
        ("1 < 2", "names no column"),
        ("unit price > 0", "write `unit price` in backticks"),
        ("a > 2023-01-01", "dates cannot be written here"),
        ("k > 0", "is of kind id and not learnt"),
    ],
)
def test_constraints_that_cannot_be_read_name_the_cure(tmp_path: Path, text: str, said: str):
    (tmp_path / "t.csv").write_text(lines("k,a,b,unit price", lambda i: f"{i},{i % 7},{i % 7},{i % 5}"))
    with pytest.raises(UserError, match=said):
        Table(str(tmp_path / "t.csv"), constraints=[text])
