"""Folders of user images: all files are read as intended, or refused by name."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import equal
from own_files import paint, pictures
from PIL import Image

from genlab.data import image_cache
from genlab.data.base import Spec, digest
from genlab.data.folder import Folder
from genlab.errors import UserError

pytestmark = pytest.mark.usefixtures("cache")


def test_a_folder_is_cached_in_one_mapped_file_that_later_runs_reuse(tmp_path, cache, monkeypatch):
    folder = pictures(tmp_path / "ä b")
    first = Folder(str(folder), size=32)
    assert first.spec == Spec((3, 32, 32), 0, "unit")
    assert {name: len(split.x) for name, split in first.splits.items()} == {"train": 10, "validation": 1, "test": 1}
    (file,) = cache.iterdir()
    assert file.suffix == ".npy"
    # Every picture has one colour and is there once: its red is 20 i, its blue 255 - 20 i.
    red = torch.cat([first.splits[name].x[:, 0, 5, 5] for name in ("train", "validation", "test")])
    assert sorted(red.tolist()) == [20 * i for i in range(12)]

    with monkeypatch.context() as patched:
        patched.setattr(image_cache, "build", None)  # nothing is read again
        again = Folder(str(folder), size=32)
        patched.chdir(tmp_path)
        patched.setenv("HOME", str(tmp_path))
        assert Folder("ä b", size=32).fingerprint == Folder("~/ä b", size=32).fingerprint == first.fingerprint
    assert equal(again.splits["train"].x, first.splits["train"].x)

    paint(folder / "05.png", (1, 2, 3))
    changed = Folder(str(folder), size=32)
    assert changed.fingerprint != first.fingerprint
    assert len(list(cache.iterdir())) == 1  # the old file is gone
    os.utime(folder / "05.png", ns=(1, 1))
    assert Folder(str(folder), size=32).fingerprint == changed.fingerprint  # read again and found to be the same
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:1000])  # cut short by hand, so it is made again
    assert equal(Folder(str(folder), size=32).splits["train"].x, changed.splits["train"].x)


def test_sub_folders_are_classes(tmp_path):
    for i in range(10):
        paint(tmp_path / "d" / "red" / "deep" / f"{i}.png", (255, 0, 0))
        paint(tmp_path / "d" / "blue" / f"{i}.png", (0, 0, 255))
    (tmp_path / "d" / "nothing").mkdir()
    (tmp_path / "d" / "notes.txt").write_text("no image")
    data = Folder(str(tmp_path / "d"), size=28)
    assert data.spec == Spec((3, 28, 28), 2, "unit", labels=("blue", "red"))
    batch = data.head("train", 16)
    assert torch.equal(batch["y"] == 1, batch["x"][:, 0, 0, 0] == 1)
    assert 0 < batch["y"].sum() < 16  # well mixed
    paint(tmp_path / "d" / "loose.png")
    with pytest.raises(UserError, match=r"loose\.png.*beside sub-folders"):
        Folder(str(tmp_path / "d"))


def test_all_pixel_formats_become_eight_bits(tmp_path):
    for i in range(3):
        paint(tmp_path / "gray" / f"{i}.png", 90, mode="L")
    ramp = np.full((20, 20), 0x8000, np.uint16)
    Image.fromarray(ramp).save(tmp_path / "gray" / "sixteen.png")
    gray = Folder(str(tmp_path / "gray"), size=28)
    assert gray.spec.shape == (1, 28, 28)
    x = torch.cat([split.x for split in gray.splits.values()])
    assert sorted(x[:, 0, 3, 3].tolist()) == [90, 90, 90, 128]
    assert Folder(str(tmp_path / "gray"), size=28, channels=3).spec.shape == (3, 28, 28)

    paint(tmp_path / "odd" / "clear.png", (0, 0, 0, 0), mode="RGBA")
    paint(tmp_path / "odd" / "a.jpg", (10, 10, 10))
    paint(tmp_path / "odd" / "b.gif", 0, mode="P")
    paint(tmp_path / "odd" / "c.webp", (10, 10, 10))
    paint(tmp_path / "odd" / "d.BMP", (10, 10, 10))
    x = torch.cat([split.x for split in Folder(str(tmp_path / "odd"), size=28).splits.values()])
    assert x.shape == (5, 3, 28, 28)
    assert (x[:, :, 0, 0] == 255).all(1).sum() == 1  # transparent pixels become white


def write_gray16(folder: Path, *values: int) -> Path:
    """Writes 16-bit gray images of one value each."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, value in enumerate(values):
        Image.fromarray(np.full((20, 20), value, np.uint16)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("values", "white", "seen"),
    [
        ((4095, 2048, 1024, 0), "4095 are read as 12-bit: 4095 is white", [0, 64, 128, 255]),
        ((1023, 512, 256, 0), "1023 are read as 10-bit", [0, 64, 128, 255]),
        ((9000, 4096, 4096, 0), "9000 are read as 14-bit: 16383 is white", [0, 64, 64, 140]),
        ((200, 100, 50, 0), "200 are read as 8-bit", [0, 50, 100, 200]),
        ((65535, 32768, 4095, 0), "", [0, 15, 128, 255]),
    ],
)
def test_sixteen_bit_images_are_scaled_by_the_bits_that_they_use(tmp_path, capsys, values, white, seen):
    data = Folder(str(write_gray16(tmp_path / "d", *values)), size=28)
    x = torch.cat([split.x for split in data.splits.values()])
    assert sorted(x[:, 0, 14, 14].tolist()) == seen  # one scale for all images keeps their relative brightness
    assert white in capsys.readouterr().out
    Folder(str(tmp_path / "d"), size=28)
    assert "white" not in capsys.readouterr().out  # the file in the cache is already scaled


def png(path: Path, colour_type: int, pixel: tuple[int, ...], side: int = 20) -> None:
    """Writes a PNG of one colour with 16 bits per channel, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 16, colour_type, 0, 0, 0)
    rows = (b"\0" + struct.pack(f">{len(pixel)}H", *pixel) * side) * side
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("colour_type", "alpha"), [(2, ()), (6, (65535,))])
def test_16_bit_colours_are_read_unless_bits_would_be_lost(tmp_path, colour_type, alpha):
    for i in range(3):
        png(tmp_path / "full" / f"{i}.png", colour_type, (50_000, 1000, 65_535, *alpha))
        png(tmp_path / "low" / f"{i}.png", colour_type, (4000, 1000, 200, *alpha))
    assert Folder(str(tmp_path / "full"), size=28).splits["test"].x[0, :, 0, 0].tolist() == [195, 3, 255]
    with pytest.raises(UserError, match=r"low/0\.png has 16-bit colours, .*lowest 12 bits only.*\(3 files\)"):
        Folder(str(tmp_path / "low"), size=28)


def test_files_of_other_kinds_and_nearly_uniform_images_are_reported(tmp_path, capsys):
    folder = pictures(tmp_path / "d")
    for name in ("a.tif", "b.TIF", "c.svg"):
        (folder / name).write_bytes(b"")
    Folder(str(folder), size=28)
    assert capsys.readouterr().out.startswith("d: left out: 2 .tif files, 1 .svg file; supported: .png .jpg")
    for path in folder.glob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match=r"no image in .*; it has 2 \.tif files, 1 \.svg file, which are not read"):
        Folder(str(folder))
    assert "nearly black" in (Folder(str(black(tmp_path / "masks")), size=28), capsys.readouterr().out)[1]
    for i in range(3):
        paint(tmp_path / "icons" / f"{i}.png", (255, 255, 255, 40 * i), mode="RGBA")
    assert "nearly white" in (Folder(str(tmp_path / "icons"), size=28), capsys.readouterr().out)[1]


def black(folder: Path) -> Path:
    for i in range(3):
        paint(folder / f"{i}.png", 1, mode="L")
    return folder


# Splits and classes


def fill(folder: Path, **sizes: int) -> Path:
    """Writes gray images into sub-folders: `fill(d, train__cat=3)` writes d/train/cat/0.png to 2.png."""
    for i, (name, n) in enumerate(sizes.items()):
        for k in range(n):
            paint(Path(folder, *name.split("__"), f"{k}.png"), 40 + 10 * i + k, mode="L")
    return folder


def sizes_of(data: Folder) -> list[list[int]]:
    """Returns the number of images of each class (columns) in each split (rows)."""
    sizes = []
    for split in data.splits.values():
        assert split.y is not None
        sizes.append(split.y.bincount(minlength=data.spec.classes).tolist())
    return sizes


def test_class_names_that_are_numbers_are_sorted_by_value(tmp_path):
    data = Folder(str(fill(tmp_path / "d", **{str(i): 3 for i in range(12)})), size=28)
    assert data.spec.labels == tuple(map(str, range(12)))
    batch = data.head("train", 99)
    # Class k is the one whose images are painted 40 + 10 k and so on.
    assert torch.equal(((255 * batch["x"][:, 0, 0, 0]).round().long() - 40) // 10, batch["y"])
    assert Folder(str(fill(tmp_path / "e", **{"2": 3, "10": 3, "x": 3})), size=28).spec.labels == ("10", "2", "x")


def test_images_are_held_out_class_by_class(tmp_path):
    data = Folder(str(fill(tmp_path / "d", common=38, pair=1, rare=1)), size=28)
    assert data.spec.labels == ("common", "pair", "rare")
    assert sizes_of(data) == [[30, 1, 1], [4, 0, 0], [4, 0, 0]]
    assert sizes_of(Folder(str(tmp_path / "d"), size=28, test=0.2)) == [[26, 1, 1], [4, 0, 0], [8, 0, 0]]


def test_train_and_test_folders_are_used_as_splits(tmp_path):
    data = Folder(str(fill(tmp_path / "d", train__cat=20, train__dog=10, test__cat=5, test__dog=3)), size=28)
    assert data.spec.labels == ("cat", "dog")
    assert sizes_of(data) == [[18, 9], [2, 1], [5, 3]]  # validation comes from training
    test = data.splits["test"].x[:, 0, 0, 0]
    assert sorted(test.tolist()) == [60, 61, 62, 63, 64, 70, 71, 72]
    changed = Folder(str(tmp_path / "d"), size=28, validation=0.5, test=0.5)
    assert sizes_of(changed) == [[10, 5], [10, 5], [5, 3]]
    assert changed.fingerprint != data.fingerprint
    all_three = fill(tmp_path / "e", Training__a=4, Training__b=4, VALID__a=2, VALID__b=2, Testing__b=1)
    assert sizes_of(Folder(str(all_three), size=28)) == [[4, 4], [2, 2], [0, 1]]
    no_test = fill(tmp_path / "f", train__a=10, train__b=10, val__b=3)
    assert sizes_of(Folder(str(no_test), size=28)) == [[9, 9], [0, 3], [1, 1]]
    plain = Folder(str(fill(tmp_path / "g", train=10, test=3)), size=28)
    assert plain.spec.classes == 0
    assert [len(split.x) for split in plain.splits.values()] == [9, 1, 3]
    (tmp_path / "h").mkdir()
    for name in ("train", "test"):  # links to class folders are followed, as links to folders are elsewhere
        (tmp_path / "h" / name).mkdir()
        (tmp_path / "h" / name / "cat").symlink_to(tmp_path / "d" / name / "cat")
        (tmp_path / "h" / name / "dog").symlink_to(tmp_path / "d" / name / "dog")
    assert sizes_of(Folder(str(tmp_path / "h"), size=28)) == sizes_of(data)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train__a": 5, "train__b": 5, "test__c": 1, "test__d": 1}, "d/test has images of 'c', 'd' but d/train"),
        ({"train__a": 5, "test__b": 2}, "d/test has images of 'b'"),
        ({"train__a": 5, "train__b": 5, "test": 2}, r"d/test has images without a class \(0\.png"),
        ({"train": 5, "test__a": 2, "test__b": 2}, r"d/test has classes \(a, b\) but d/train has none"),
        ({"train__a": 5, "val__a": 2, "valid__a": 2}, "both val and valid, and either name means the validation split"),
        ({"train__a": 5, "train": 2, "test__a": 1}, "d/train has images .* beside sub-folders"),
    ],
)
def test_inconsistent_split_folders_are_refused(tmp_path, sizes, message):
    with pytest.raises(UserError, match=message) as caught:
        Folder(str(fill(tmp_path / "d", **sizes)), size=28)
    assert "\n" not in str(caught.value)


def test_folders_that_are_nearly_splits_are_mentioned(tmp_path, capsys):
    data = Folder(str(fill(tmp_path / "d", train__a=5, test__a=5, extra=5)), size=28)
    assert data.spec.labels == ("extra", "test", "train")
    assert "test, train would be splits if extra were moved elsewhere" in capsys.readouterr().out
    Folder(str(fill(tmp_path / "e", train__a=5, train__b=5)), size=28)
    assert "e: all images are in train, so there are no classes" in capsys.readouterr().out


def test_version_1_reads_and_splits_as_before(tmp_path, cache):
    """The fingerprint and the parts of the file's name were recorded before version 2 was added."""
    for n in (2, 10, 1):
        write_gray16(tmp_path / "d" / str(n), *(100 * n + i for i in range(4)))
    old = Folder(str(tmp_path / "d"), size=28, version=1)
    assert (old.fingerprint, old.spec.labels) == ("4b4189a50cb56959", ("1", "10", "2"))
    assert old.splits["train"].y is not None
    assert old.splits["train"].y.tolist() == [2, 2, 1, 0, 1, 1, 0, 1, 0, 2]
    assert old.splits["train"].x[:, 0, 0, 0].tolist() == [0, 0, 3, 0, 3, 3, 0, 3, 0, 0]
    (file,) = cache.iterdir()
    paths = [tmp_path / "d" / name / f"{i}.png" for name in ("1", "10", "2") for i in range(4)]
    stats = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    names = [str(path.relative_to(tmp_path / "d")) for path in paths]
    assert file.name.startswith(f"{digest(str(tmp_path / 'd'), 28, 'auto')}-{digest(names, stats)}-")
    assert Folder(str(tmp_path / "d"), size=28).spec.labels == ("1", "2", "10")
    assert file.exists()  # neither version removes the other's
    fill(tmp_path / "e", train__a=10, test__a=10)
    assert Folder(str(tmp_path / "e"), size=28, version=1).spec.labels == ("test", "train")


def test_images_are_cropped_to_their_centre(tmp_path):
    wide = Image.new("L", (90, 30), 0)
    wide.paste(255, (30, 0, 60, 30))
    (tmp_path / "d").mkdir()
    for i in range(3):
        wide.save(tmp_path / "d" / f"{i}.png")
    assert (
        Folder(str(tmp_path / "d"), size=28).splits["train"].x.min() > 250
    )  # Lanczos mixes in a little of the dark beside it


@pytest.mark.parametrize("smaller", [True, False])
def test_bad_images_are_named(tmp_path, smaller):
    folder = pictures(tmp_path / "d")
    whole = paint(tmp_path / "noise.png", size=(200, 200)).read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "03.png")
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"d/03\.png is truncated$"):
        Folder(str(folder))
    (folder / "01.png").write_text("hello")
    (folder / "02.jpg").write_bytes(b"")
    (folder / "04.png").unlink()
    (folder / "04.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"d/01\.png is not an image in PNG, .*d/02\.jpg.*d/04\.png is not a file$"
    ) as caught:
        Folder(str(folder))
    assert "\n" not in str(caught.value)
    # A header that claims 9,000 x 9,000 pixels, or 60,000 x 60,000, with the right checksum.
    bomb = bytearray(whole)
    side = 9_000 if smaller else 60_000
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    for name in ("01.png", "02.jpg", "03.png", "04.png"):
        (folder / name).unlink()
    (folder / "01.png").write_bytes(bytes(bomb))
    with pytest.raises(UserError, match=r"d/01\.png claims .*pixels"):
        Folder(str(folder))
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no image in"):
        Folder(str(tmp_path / "none"))
    with pytest.raises(UserError, match="is a file, not a folder"):
        Folder(str(tmp_path / "noise.png"))
    assert not list((tmp_path / "root" / "genlab-cache").glob("*.tmp"))


def test_a_cache_that_cannot_be_written_falls_back_to_the_users_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "file"))  # no folder can be made below a file
    Folder(str(pictures(tmp_path / "d")), size=28)
    assert len(list((tmp_path / "cache" / "genlab" / "genlab-cache").iterdir())) == 1
