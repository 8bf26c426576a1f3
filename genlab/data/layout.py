"""Finds the images of a folder: loose ones, class sub-folders, or sub-folders train, val and test with classes."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from genlab.data.files import note, quoted, several
from genlab.data.image_files import OTHER_SUFFIXES, SUFFIXES
from genlab.data.labels import ordered
from genlab.data.splits import NAMES
from genlab.errors import UserError

SPLITS = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}


class Files(NamedTuple):
    """The images of a folder with their classes, ordered by name."""

    paths: list[Path]
    y: list[int]  # the class of each image; all 0 if there are no classes
    names: tuple[str, ...]  # names of the classes; () for none
    splits: list[int] | None = None  # 0, 1, 2 for training, validation, test, if sub-folders define splits


class Look(NamedTuple):
    """The images of one folder."""

    loose: list[Path]
    below: dict[str, list[Path]]  # by sub-folder, without sub-folders that have no images

    def check(self, folder: Path) -> None:
        """Rejects images beside sub-folders with images."""
        if self.loose and self.below:
            raise UserError(
                f"data.path: {folder} has images ({self.loose[0].name}, ...) beside sub-folders with images "
                f"({several(list(self.below))}): sub-folders are classes, so all images must lie in them, or none"
            )


def scan(folder: Path, version: int = 2) -> Files:
    """Finds the images without opening them.

    Args:
        version: 1 sorts classes as text, and reads folders called train and test as classes.

    Raises:
        UserError: there are no images, some are beside sub-folders with images, or training lacks a held-out class.
    """
    others: Counter[str] = Counter()
    try:
        look = _look(folder, others, version)
        look.check(folder)
        if not look.loose and not look.below:
            unread = f"; it has {_counts(others)}, which are not read" if others else ""
            raise UserError(f"data.path: no image in {folder}{unread}; supported: {' '.join(SUFFIXES)}")
        if others:
            note(f"{folder.name}: left out: {_counts(others)}; supported: {' '.join(SUFFIXES)}")
    except OSError as error:
        raise UserError(f"data.path: cannot read {error.filename}: {error.strerror}") from error
    splits = {name: SPLITS[name.lower()] for name in look.below if name.lower() in SPLITS}
    if version > 1 and 0 in splits.values() and len(splits) > 1:
        if len(splits) == len(look.below):
            return _split(folder, look.below)
        unknown = [name for name in look.below if name not in splits]
        note(
            f"{folder.name}: {several(list(look.below))} are read as classes; {several(list(splits))} would be splits "
            f"if {several(unknown)} were moved elsewhere"
        )
    if look.loose:
        return Files(look.loose, [0] * len(look.loose), ())
    names = ordered(look.below) if version > 1 else list(look.below)
    if len(names) == 1 and len({path.relative_to(folder).parts[1] for path in look.below[names[0]]}) > 1:
        _tell_of_depth(folder / names[0], look.below[names[0]])
    paths = [path for name in names for path in look.below[name]]
    y = [k for k, name in enumerate(names) for _ in look.below[name]]
    return Files(paths, y, tuple(names) if len(names) > 1 else ())


def _split(folder: Path, below: dict[str, list[Path]]) -> Files:
    """Finds the images of sub-folders that are splits, whose own sub-folders are classes.

    Raises:
        UserError: two sub-folders name one split, or held-out images have classes that training lacks.
    """
    ordered_splits = sorted(below, key=lambda name: SPLITS[name.lower()])
    for a, b in pairwise(ordered_splits):
        if SPLITS[a.lower()] == (split := SPLITS[b.lower()]):
            raise UserError(
                f"data.path: {folder} has both {a} and {b}, and either name means the {NAMES[split]} split; "
                f"rename or remove one"
            )
    looks = {name: _by_class(folder / name, below[name]) for name in ordered_splits}
    train = ordered_splits[0]
    trained = ordered(looks[train].below)
    names = trained if len(trained) > 1 else []
    number = {name: k for k, name in enumerate(names)}
    paths, y, splits = [], [], []
    for name, look in looks.items():
        look.check(folder / name)
        _check_held_out(folder, name, train, look, trained)
        groups = look.below or {"": look.loose}
        for label in ordered(groups):
            paths += groups[label]
            y += [number.get(label, 0)] * len(groups[label])
            splits += [SPLITS[name.lower()]] * len(groups[label])
    return Files(paths, y, tuple(names), splits)


def _check_held_out(folder: Path, name: str, train: str, look: Look, trained: Sequence[str]) -> None:
    """Rejects images of split `name` that have no class although training has classes, or a class that it lacks."""
    held_out, training = f"{folder.name}/{name}", f"{folder.name}/{train}"
    if len(trained) > 1 and look.loose:
        raise UserError(
            f"data.path: {held_out} has images without a class ({look.loose[0].name}, ...): put them into "
            f"sub-folders named like those of {training}, or move {name} elsewhere"
        )
    if not trained and len(look.below) > 1:
        raise UserError(
            f"data.path: {held_out} has classes ({several(list(look.below))}) but {training} has none: sort the images "
            f"of both into the same sub-folders, or use no sub-folders in either"
        )
    if trained and (unknown := [label for label in ordered(look.below) if label not in trained]):
        raise UserError(
            f"data.path: {held_out} has images of {quoted(unknown)} but {training} has none: add some to "
            f"{training}, or move {'these sub-folders' if len(unknown) > 1 else 'this sub-folder'} elsewhere"
        )


def _by_class(folder: Path, paths: Sequence[Path]) -> Look:
    """Groups the images of a split's folder by its sub-folders."""
    loose, below = [], {}
    for path in paths:
        first, *rest = path.relative_to(folder).parts
        (below.setdefault(first, []) if rest else loose).append(path)
    return Look(loose, below)


def _look(folder: Path, others: Counter[str], version: int) -> Look:
    """Finds the images in a folder and below; adds unsupported image files to `others`, by suffix."""
    top = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
    # The classes of a split are one level deeper, and their folders may be links.
    below = {
        path.name: list(_images(path, others, version > 1 and path.name.lower() in SPLITS))
        for path in top
        if path.is_dir()
    }
    loose = [path for path in top if not path.is_dir()]
    others.update(path.suffix.lower() for path in loose if path.suffix.lower() in OTHER_SUFFIXES)
    return Look(
        [path for path in loose if path.suffix.lower() in SUFFIXES],
        {name: paths for name, paths in below.items() if paths},
    )


def _images(folder: Path, others: Counter[str], follow: bool = False) -> Iterator[Path]:
    """Yields the images in a folder and below; `follow` also enters links to folders at its top level."""

    def fail(error: OSError) -> None:
        raise error

    for directory, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders if follow and Path(directory) == folder else ():
            if os.path.islink(os.path.join(directory, name)):  # os.walk does not enter links
                yield from _images(Path(directory, name), others)
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                yield Path(directory, name)
            elif suffix in OTHER_SUFFIXES:
                others[suffix] += 1


def _counts(others: Counter[str]) -> str:
    """Lists counts of files by suffix: `20 .tif files, 1 .svg file`."""
    return several([f"{n} {suffix} file{'s' if n > 1 else ''}" for suffix, n in others.most_common()], 5)


def _tell_of_depth(folder: Path, paths: Sequence[Path]) -> None:
    """Tells the user if the classes seem to be one level deeper than expected."""
    if all(len(path.relative_to(folder).parts) > 1 for path in paths):
        note(
            f"{folder.parent.name}: all images are in {folder.name}, so there are no classes; "
            f"set data.path={folder} to read its sub-folders as classes"
        )
