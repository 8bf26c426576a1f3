"""The files of a folder or of a .zip archive, by name."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from genlab.errors import UserError, brief

LARGEST = 4 * 2**30  # bytes that an archive may unpack to


class Archive:
    """The files of a folder or of a .zip archive, without those in sub-folders that have the name of another file.

    Raises:
        UserError: it cannot be read, or would unpack to more than 4 GiB.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._read: dict[str, Callable[[], bytes]] = {}
        try:
            if path.is_dir():
                self._read = {file.name: file.read_bytes for file in sorted(path.iterdir()) if file.is_file()}
            else:
                self._open(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"data.path: cannot read {path}: {brief(error)}") from error

    def _open(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
        if sum(member.file_size for member in members) > LARGEST:
            raise UserError(f"{path.name}: unpacks to more than {LARGEST >> 30} GiB")

        def read(member: zipfile.ZipInfo) -> bytes:
            with zipfile.ZipFile(path) as archive:
                return archive.read(member)

        for member in members:
            self._read.setdefault(Path(member.filename).name, lambda member=member: read(member))

    def ending(self, suffix: str) -> list[str]:
        """The names of the files that end in `suffix`, in any case, sorted."""
        return [name for name in self._read if name.lower().endswith(suffix) and not name.startswith(".")]

    def text(self, name: str) -> str:
        """Returns the content of a file.

        Raises:
            UserError: it cannot be read, or is not UTF-8 text.
        """
        try:
            return self._read[name]().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.name}: {name} is not UTF-8 text; save it as UTF-8") from error
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise UserError(f"{self.name}: cannot read {name}: {brief(error)}") from error

    def __contains__(self, name: str) -> bool:
        return name in self._read
