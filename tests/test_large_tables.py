"""Large tables are encoded once, in a folder of the cache, and mapped into memory."""

import gzip
import shutil
from pathlib import Path

import pytest
import torch
from conftest import rows

from genlab.data import table as tables
from genlab.data.frames import read
from genlab.data.frames.write import write
from genlab.data.table import Table
from genlab.errors import UserError


@pytest.fixture
def file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file that counts as large."""
    monkeypatch.setattr(tables, "LARGE", 0)
    data = Table(rows(200), rare=1)
    schema = data.spec.table
    assert schema is not None
    write(tmp_path / "big.csv", schema, [data.real("train", 160)])
    return tmp_path / "big.csv"


def folders(cache: Path) -> list[Path]:
    return sorted(cache.glob("table-*"))


def test_a_large_table_is_the_same_as_a_small_one(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    large = Table(str(file), "colour", rare=1)
    assert "encoded rows kept in" in capsys.readouterr().out
    monkeypatch.setattr(tables, "LARGE", 10**9)
    small = Table(str(file), "colour", rare=1)
    schema = large.spec.table
    assert schema is not None
    assert large.spec == small.spec
    assert large.fingerprint == small.fingerprint
    assert large.notes == small.notes
    for split in ("train", "validation", "test"):
        values = [schema.values(data.real(split, 200)) for data in (large, small)]  # without what missing cells hide
        assert torch.equal(values[0].nan_to_num(-1), values[1].nan_to_num(-1))
        assert torch.equal(large.labels(split, 50), small.labels(split, 50))  # type: ignore[arg-type]
    (folder,) = folders(cache)
    assert sorted(each.name for each in folder.iterdir()) == ["classes.npy", "record.json", "rows.npy"]
    assert [each.name for each in cache.iterdir()] == [folder.name]  # nothing else is left


def test_the_second_start_reads_nothing_and_a_changed_file_is_read_again(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    first = Table(str(file), rare=1)
    with monkeypatch.context() as patched:
        patched.setattr(read, "read", lambda *_: pytest.fail("it was read again"))
        again = Table(str(file), rare=1)
    assert torch.equal(first.splits["train"].x, again.splits["train"].x)
    assert first.fingerprint == again.fingerprint
    Table(str(file), rare=1, numeric="standard")
    assert len(folders(cache)) == 2  # other options, another folder
    text = file.read_text().splitlines()
    file.write_text("\n".join(text[:-1]) + "\n")
    assert Table(str(file), rare=1).fingerprint != first.fingerprint
    assert len(folders(cache)) == 2  # the older one of these options is gone


@pytest.mark.parametrize("damage", ["record.json", "rows.npy", "classes.npy"])
def test_a_damaged_cache_is_made_again(file: Path, cache: Path, damage: str):
    first = Table(str(file), "colour", rare=1).real("train", 200).clone()
    (folder,) = folders(cache)
    (folder / damage).write_bytes(b"{")
    again = Table(str(file), "colour", rare=1)
    assert again.labels("train", 5) is not None
    assert torch.equal(first, again.real("train", 200))


def test_compressed_files_and_bad_ones(file: Path, cache: Path):
    packed = file.with_suffix(".csv.gz")
    with open(file, "rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    assert torch.equal(Table(str(packed), rare=1).real("test", 20), Table(str(file), rare=1).real("test", 20))
    bad = file.with_name("bad.csv")
    bad.write_text(file.read_text() + "one,cell,too,few\n")
    with pytest.raises(UserError, match=r"bad.csv: the header has 7 cells, but line 162 has 4"):
        Table(str(bad), rare=1)
    assert not list(cache.glob("*.tmp"))


def test_what_cannot_be_kept_is_read_into_memory(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tables, "encode_to", full)
        data = Table(str(file), rare=1)
    assert "big.csv: kept in memory, because" in capsys.readouterr().out
    assert len(data) == 128
    spaced = file.with_name("spaced.csv")
    spaced.write_text("a, b\n" + "".join(f'{i}, "x{i % 2}"\n' for i in range(50)))
    with pytest.raises(UserError, match="quotes that follow a space are read in smaller files only"):
        Table(str(spaced))
    assert not list(cache.glob("*.tmp"))
