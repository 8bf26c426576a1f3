"""The run folder: the only module that knows its file names.

config.yaml  metrics.jsonl  events...  checkpoints/{last,best,step_N}.pt  samples/  status.json  result.json
environment.json  evaluation.json  samples.npz  samples.csv  grid.png  autoencoder.pt (if the model has one)
samples.zip (of graphs)
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
        """Returns the file with the run's own copy of the trained family that the model option `key` names."""
        return self.folder / f"{key}.pt"

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Opens the run in an existing folder.

        Raises:
            UserError: the folder is absent or not a run folder.
        """
        run = cls(Path(folder))
        try:
            if not run.folder.is_dir():
                raise UserError(f"no folder {folder}; give the run folder that 'genlab train' printed")
            if not run.config.is_file():
                raise UserError(f"'{folder}' is not a run folder: it has no config.yaml")
            _check_plain(run.folder)
        except OSError as error:
            raise UserError(f"cannot read {error.filename or folder}: {error.strerror}") from error
        return run

    def discard(self) -> None:
        """Remove the folder, and then its parent, if they contain nothing but a lock."""
        with suppress(OSError):
            if os.listdir(self.folder) == [".lock"]:
                (self.folder / ".lock").unlink()
        for folder in (self.folder, self.folder.parent):
            try:
                if not folder.samefile(Path.cwd()):  # keep the current working directory
                    folder.rmdir()
            except OSError:  # not empty, or not ours
                return

    def read_config(self) -> DictConfig:
        """Reads the run's own config, closed to new keys.

        Raises:
            UserError: the file is not a readable config, or it contains what genlab never writes: an interpolation such
                as `${oc.env:SECRET}`, or a YAML alias, with which a small file can fill the memory.
        """
        try:
            text = self.config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"damaged {self.config}: {brief(error)}") from error
        return stored_config.parse(text, self.config)

    def write_config(self, config: DictConfig) -> None:
        write_atomically(self.config, OmegaConf.to_yaml(config, resolve=True))

    def write_status(self, state: str, reason: str = "", **details: Any) -> None:
        """Write to status.json that the run is `running`, `finished`, `failed` or `interrupted`, and why."""
        status = {
            "status": state,
            "reason": reason,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            **details,
        }
        write_atomically(self.status, to_json(status, indent=2) + "\n")

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Write the environment of this start of the run; a resumed run keeps the `earlier` ones as well."""
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
        """Context that locks the folder, so that no other process trains in it; the lock ends with the process.

        Raises:
            UserError: another process holds the lock.
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
                raise UserError(f"{self.folder} is being removed by another process")
            with suppress(OSError):  # on a full disk, the lock works, but does not name its holder
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
            yield

    def held(self) -> bool:
        """Returns whether a process holds the lock of the folder; True if this machine cannot tell."""
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
    """Refuse links, pipes and devices, which could redirect a write out of the folder or make a read hang."""
    with os.scandir(folder) as entries:
        content = list(entries)
    for entry in content:
        if entry.is_dir(follow_symlinks=False):
            _check_plain(Path(entry.path))
        elif not entry.is_file(follow_symlinks=False):
            raise UserError(
                f"{entry.path} is not a plain file or folder; a run folder must not contain links, pipes or devices"
            )


def to_json(value: Any, **options: Any) -> str:
    """Returns strict JSON, which has no NaN or infinity: numbers that are not finite become null."""
    return json.dumps(_without_nan(value), allow_nan=False, **options)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
