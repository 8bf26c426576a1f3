"""Which images a folder has: one heap, sub-folders that are classes, or sub-folders train, val and test of such."""

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
    """The images of a folder, by path and class, in the order of their names."""

    paths: list[Path]
    y: list[int]  # all 0 where there are no classes
    names: tuple[str, ...]  # of the classes; () for none
    splits: list[int] | None = None  # 0, 1, 2 for training, validation, test, where sub-folders say so


class Look(NamedTuple):
    """What lies in one folder."""

    loose: list[Path]
    below: dict[str, list[Path]]  # by sub-folder, those without images left out

    def check(self, folder: Path) -> None:
        """Refuse images beside sub-folders with images."""
        if self.loose and self.below:
            raise UserError(
                f"data.path: {folder} has images ({self.loose[0].name}, ...) beside sub-folders with images "
                f"({several(list(self.below))}): sub-folders are classes, so all images must lie in them, or none"
            )


def scan(folder: Path, version: int = 2) -> Files:
    """Find the images; opens none.

    Args:
        version: 1 sorts classes as text, and takes folders called train and test for classes.

    Raises:
        UserError: there are none, some lie beside sub-folders with others, or a held-out class is not trained on.
    """
    others: Counter[str] = Counter()
    try:
        found = _look(folder, others, version)
        found.check(folder)
        if not found.loose and not found.below:
            seen = f"; it has {_counts(others)}, which are not read" if others else ""
            raise UserError(f"data.path: no image in {folder}{seen}; read are {' '.join(SUFFIXES)}")
        if others:
            note(f"{folder.name}: left out: {_counts(others)}; read are {' '.join(SUFFIXES)}")
    except OSError as error:
        raise UserError(f"data.path: cannot read {error.filename}: {error.strerror}") from error
    splits = {name: SPLITS[name.lower()] for name in found.below if name.lower() in SPLITS}
    if version > 1 and 0 in splits.values() and len(splits) > 1:
        if len(splits) == len(found.below):
            return _split(folder, found.below)
        strange = [name for name in found.below if name not in splits]
        note(
            f"{folder.name}: {several(list(found.below))} are classes; {several(list(splits))} would be splits if "
            f"{several(strange)} did not lie beside them"
        )
    if found.loose:
        return Files(found.loose, [0] * len(found.loose), ())
    names = ordered(found.below) if version > 1 else list(found.below)
    if len(names) == 1 and len({path.relative_to(folder).parts[1] for path in found.below[names[0]]}) > 1:
        _tell_of_depth(folder / names[0], found.below[names[0]])
    paths = [path for name in names for path in found.below[name]]
    y = [k for k, name in enumerate(names) for _ in found.below[name]]
    return Files(paths, y, tuple(names) if len(names) > 1 else ())


def _split(folder: Path, below: dict[str, list[Path]]) -> Files:
    """The images of sub-folders that are splits, whose sub-folders are classes.

    Raises:
        UserError: two sub-folders for one split, or held-out images of classes that training lacks.
    """
    here = sorted(below, key=lambda name: SPLITS[name.lower()])
    for a, b in pairwise(here):
        if SPLITS[a.lower()] == (split := SPLITS[b.lower()]):
            raise UserError(
                f"data.path: {folder} has both {a} and {b}, of which one is the {NAMES[split]} split; "
                f"rename or remove the other"
            )
    looks = {name: _by_class(folder / name, below[name]) for name in here}
    train = here[0]
    trained = ordered(looks[train].below)
    names = trained if len(trained) > 1 else []
    number = {name: k for k, name in enumerate(names)}
    paths, y, which = [], [], []
    for name, look in looks.items():
        look.check(folder / name)
        _check_held_out(folder, name, train, look, trained)
        groups = look.below or {"": look.loose}
        for each in ordered(groups):
            paths += groups[each]
            y += [number.get(each, 0)] * len(groups[each])
            which += [SPLITS[name.lower()]] * len(groups[each])
    return Files(paths, y, tuple(names), which)


def _check_held_out(folder: Path, name: str, train: str, look: Look, trained: Sequence[str]) -> None:
    """Refuse images of split `name` without a class where training has some, or of a class that it has not."""
    held_out, training = f"{folder.name}/{name}", f"{folder.name}/{train}"
    if len(trained) > 1 and look.loose:
        raise UserError(
            f"data.path: {held_out} has images without a class ({look.loose[0].name}, ...): put them into "
            f"sub-folders named like those of {training}, or move {name} elsewhere"
        )
    if not trained and len(look.below) > 1:
        raise UserError(
            f"data.path: {held_out} has classes ({several(list(look.below))}), {training} has none: sort the images of "
            f"both into the same sub-folders, or of neither"
        )
    if trained and (strange := [each for each in ordered(look.below) if each not in trained]):
        raise UserError(
            f"data.path: {held_out} has images of {quoted(strange)}, of which {training} has none: add some to "
            f"{training}, or move {'these sub-folders' if len(strange) > 1 else 'this sub-folder'} elsewhere"
        )


def _by_class(folder: Path, paths: Sequence[Path]) -> Look:
    """The images below a folder that is a split, by its own sub-folders."""
    loose, below = [], {}
    for path in paths:
        first, *rest = path.relative_to(folder).parts
        (below.setdefault(first, []) if rest else loose).append(path)
    return Look(loose, below)


def _look(folder: Path, others: Counter[str], version: int) -> Look:
    """The images in a folder and below; counts in `others` files of other kinds of images by suffix."""
    top = sorted(each for each in folder.iterdir() if not each.name.startswith((".", "__MACOSX")))
    # The classes of a split lie one level deeper, and so may links to their folders.
    below = {
        each.name: list(_images(each, others, version > 1 and each.name.lower() in SPLITS))
        for each in top
        if each.is_dir()
    }
    loose = [each for each in top if not each.is_dir()]
    others.update(each.suffix.lower() for each in loose if each.suffix.lower() in OTHER_SUFFIXES)
    return Look(
        [each for each in loose if each.suffix.lower() in SUFFIXES],
        {name: paths for name, paths in below.items() if paths},
    )


def _images(folder: Path, others: Counter[str], follow: bool = False) -> Iterator[Path]:
    """The images in a folder and below; `follow` enters links to folders that lie in it itself."""

    def fail(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders if follow and Path(here) == folder else ():
            if os.path.islink(os.path.join(here, name)):  # which os.walk does not enter
                yield from _images(Path(here, name), others)
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                yield Path(here, name)
            elif suffix in OTHER_SUFFIXES:
                others[suffix] += 1


def _counts(others: Counter[str]) -> str:
    """`20 .tif files, 1 .svg file`."""
    return several([f"{n} {suffix} file{'s' if n > 1 else ''}" for suffix, n in others.most_common()], 5)


def _tell_of_depth(folder: Path, paths: Sequence[Path]) -> None:
    """Tell of classes that may lie one level deeper than where they are looked for."""
    if all(len(path.relative_to(folder).parts) > 1 for path in paths):
        note(
            f"{folder.parent.name}: all images lie in {folder.name}, so there are no classes; "
            f"data.path={folder} takes its sub-folders as classes"
        )
