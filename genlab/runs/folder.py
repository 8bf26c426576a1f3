"""The run folder: the one place that knows its names.

config.yaml  metrics.jsonl  events...  checkpoints/{last,best,step_N}.pt  samples/  status.json  result.json
environment.json  evaluation.json  samples.npz  samples.csv  grid.png  autoencoder.pt (where the model has one)
"""

import json
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError, brief
from genlab.runs import stored_config
from genlab.runs.files import write_atomically


class Run:
    """One training run on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.metrics = folder / "metrics.jsonl"
        self.status = folder / "status.json"
        self.result = folder / "result.json"
        self.evaluation = folder / "evaluation.json"
        self.checkpoints = folder / "checkpoints"
        self.pictures = folder / "samples"
        self.environment = folder / "environment.json"
        self.samples = folder / "samples.npz"
        self.table = folder / "samples.csv"
        self.grid = folder / "grid.png"

    def part(self, key: str) -> Path:
        """The copy of the trained family that the model's key names: a run needs no other run's folder."""
        return self.folder / f"{key}.pt"

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in an existing folder.

        Raises:
            UserError: the folder is absent, or is no run.
        """
        run = cls(Path(folder))
        try:
            if not run.folder.is_dir():
                raise UserError(f"no folder {folder}; a run folder is what 'genlab train' names at its end")
            if not run.config.is_file():
                raise UserError(f"{folder} is no run folder: it has no config.yaml")
            _check_plain(run.folder)
        except OSError as error:
            raise UserError(f"cannot read {error.filename or folder}: {error.strerror}") from error
        return run

    def discard(self) -> None:
        """Remove the folder, and the one above, if nothing but a lock has been written there."""
        with suppress(OSError):
            if os.listdir(self.folder) == [".lock"]:
                (self.folder / ".lock").unlink()
        for folder in (self.folder, self.folder.parent):
            try:
                if not folder.samefile(Path.cwd()):  # an empty folder that the user stands in
                    folder.rmdir()
            except OSError:  # not empty, or not ours
                return

    def read_config(self) -> DictConfig:
        """The run's own config, closed to new keys.

        Raises:
            UserError: the file cannot be read as one, or it holds what genlab never writes: an interpolation such as
                `${oc.env:SECRET}`, or a YAML alias, by which a small file can fill the memory.
        """
        try:
            text = self.config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"damaged {self.config}: {brief(error)}") from error
        return stored_config.parse(text, self.config)

    def write_config(self, config: DictConfig) -> None:
        write_atomically(self.config, OmegaConf.to_yaml(config, resolve=True))

    def write_status(self, state: str, reason: str = "", **details: Any) -> None:
        """Say in status.json that the run is `running`, `finished`, `failed` or `interrupted`, and why."""
        status = {
            "status": state,
            "reason": reason,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            **details,
        }
        write_atomically(self.status, to_json(status, indent=2) + "\n")

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Keep what this start of the run was made with; a resumed run keeps its `earlier` ones as well."""
        earlier: list[Any] = []
        with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):  # absent or damaged
            before = json.loads(self.environment.read_text(encoding="utf-8"))
            earlier = [*before.pop("earlier"), before]
        write_atomically(self.environment, to_json({**environment, "earlier": earlier}, indent=2) + "\n")

    def write_result(self, result: dict[str, Any]) -> None:
        write_atomically(self.result, to_json(result, indent=2) + "\n")

    def write_evaluation(self, report: dict[str, Any]) -> None:
        write_atomically(self.evaluation, to_json(report, indent=2, ensure_ascii=False) + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, so that no second process trains in it; a process that dies lets go of it.

        Raises:
            UserError: another process holds it.
        """
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            yield
            return
        path = self.folder / ".lock"
        try:
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(f"{self.folder} is in use by {file.read().strip() or 'another process'}") from None
            except OSError:  # a file system without locks
                yield
                return
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise UserError(f"{self.folder} is just being removed by another process")
            with suppress(OSError):  # a full disk: the lock holds, only the name of its holder is missing
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
            yield

    def held(self) -> bool:
        """Whether a process holds the lock of the folder, as far as this machine can know; if it cannot, it does."""
        try:
            import fcntl

            with open(self.folder / ".lock", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except (ImportError, OSError):  # BlockingIOError among them
            return True
        return False


def _check_plain(folder: Path) -> None:
    """Refuse what could lead a write out of the folder, or hang a read: links, pipes, devices."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            _check_plain(Path(entry.path))
        elif not entry.is_file(follow_symlinks=False):
            raise UserError(
                f"{entry.path} is a link or no plain file; genlab writes into run folders of plain files only"
            )


def to_json(value: Any, **options: Any) -> str:
    """JSON that every reader takes: it has no NaN and no infinity, so numbers that are not finite become null."""
    return json.dumps(_without_nan(value), allow_nan=False, **options)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
