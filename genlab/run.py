"""The run folder: the one place that knows its names.

config.yaml  metrics.jsonl  events...  checkpoints/{last,best,step_N}.pt  samples/  status.json  result.json
evaluation.json  samples.npz  grid.png
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError, brief


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
        self.samples = folder / "samples.npz"
        self.grid = folder / "grid.png"

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in an existing folder.

        Raises:
            UserError: the folder is absent, or is no run.
        """
        run = cls(Path(folder))
        if not run.folder.is_dir():
            raise UserError(f"no folder {folder}; a run folder is what 'genlab train' names at its end")
        if not run.config.is_file():
            raise UserError(f"{folder} is no run folder: it has no config.yaml")
        return run

    def discard(self) -> None:
        """Remove the folder, and the one above, if nothing but a lock has been written there."""
        with suppress(OSError):
            if os.listdir(self.folder) == [".lock"]:
                (self.folder / ".lock").unlink()
        for folder in (self.folder, self.folder.parent):
            try:
                folder.rmdir()
            except OSError:  # not empty, or not ours
                return

    def read_config(self) -> DictConfig:
        """The run's own config, closed to new keys.

        Raises:
            UserError: the file cannot be read as one.
        """
        try:
            config = OmegaConf.load(self.config)
        except Exception as error:  # YAML errors come from two libraries
            raise UserError(f"damaged {self.config}: {brief(error)}") from error
        if not isinstance(config, DictConfig) or not {"model", "data", "trainer", "optimizer"} <= set(config):
            raise UserError(f"{self.config} is no config of a run: model, data, trainer or optimizer is missing")
        OmegaConf.set_struct(config, True)
        return config

    def write_config(self, config: DictConfig) -> None:
        _write(self.config, OmegaConf.to_yaml(config, resolve=True))

    def write_status(self, state: str, reason: str = "", **details: Any) -> None:
        """Say in status.json that the run is `running`, `finished`, `failed` or `interrupted`, and why."""
        status = {
            "status": state,
            "reason": reason,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            **details,
        }
        _write(self.status, json.dumps(status, indent=2) + "\n")

    def write_result(self, result: dict[str, Any]) -> None:
        _write(self.result, json.dumps(result, indent=2) + "\n")

    def write_evaluation(self, report: dict[str, Any]) -> None:
        _write(self.evaluation, json.dumps(report, indent=2, ensure_ascii=False) + "\n")

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
            file = open(path, "a+")  # noqa: SIM115 (closed below)
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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
    os.replace(temporary, path)
