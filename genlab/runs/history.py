"""What a run has written of itself, read back: for reports, comparisons, notebooks. Never writes; imports no torch.

A run may still be training, or may have died at any moment: a torn last line of metrics.jsonl is left out, a file that
is not there yet is an empty dictionary. A file that is there and makes no sense is named.
"""

import json
import math
import re
import socket
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError, brief
from genlab.runs.folder import Run

STOPPED = ("failed", "interrupted", "killed")  # the states of a run that has ended before its end
Curve = list[tuple[int, float]]  # (step, value), by step


class Picture(NamedTuple):
    """One picture of the training loop: `samples/NAME_STEP.png`."""

    name: str
    step: int
    path: Path


class History:
    """A run folder for reading; each file is read when it is first asked for, and once.

    Raises:
        UserError: the folder is absent, or is no run; and each property: its file is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.run = Run.open(folder)
        self.name = self.run.folder.resolve().name

    @cached_property
    def config(self) -> DictConfig:
        return self.run.read_config()

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The config as one level: dotted keys to plain values; lists are a value each."""
        return dict(flatten(OmegaConf.to_container(self.config)))

    @cached_property
    def metrics(self) -> dict[str, Curve]:
        """Every tag's curve. Values that were not finite are left out; of a step written twice the last line counts."""
        found: dict[str, dict[int, float]] = {}
        for line in self._lines():
            for tag, value in line.items():
                if tag != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                    found.setdefault(tag, {})[line["step"]] = float(value)
        return {tag: sorted((s, v) for s, v in curve.items() if math.isfinite(v)) for tag, curve in found.items()}

    @cached_property
    def status(self) -> dict[str, Any]:
        """`status`, `reason`, `step`, ... or {} before training. A run whose process died is `killed`."""
        found = _read_object(self.run.status)
        if found.get("status") == "running" and found.get("host") == socket.gethostname() and not self.run.held():
            return {**found, "status": "killed", "reason": "its process died without writing a status"}
        return found

    @cached_property
    def result(self) -> dict[str, Any]:
        """`step`, `seconds`, `samples_per_s`, `measures`, `best`, ... or {} before the end."""
        return _read_object(self.run.result)

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """What `genlab evaluate` found: `measures` by name, `left_out`, ... or {} where it has not been run."""
        found = _read_object(self.run.evaluation)
        measures = found.get("measures", {})
        if not isinstance(measures, dict) or not all(isinstance(m, dict) and "value" in m for m in measures.values()):
            raise UserError(f"damaged {self.run.evaluation}: 'measures' does not hold a value for each name")
        return found

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the last start of the run was made with, and the `earlier` ones; {} for a run of an older genlab."""
        return _read_object(self.run.environment)

    @cached_property
    def pictures(self) -> dict[str, list[Picture]]:
        """The pictures of the training loop by name, each list by step."""
        found: dict[str, list[Picture]] = {}
        for path in sorted(self.run.pictures.glob("*.png")):
            if match := re.fullmatch(r"(.+)_(\d+)", path.stem):
                found.setdefault(match[1], []).append(Picture(match[1], int(match[2]), path))
        return {name: sorted(pictures, key=lambda picture: picture.step) for name, pictures in found.items()}

    def last(self, tag: str) -> float | None:
        """The last value of a curve; None where there is none."""
        curve = self.metrics.get(tag)
        return curve[-1][1] if curve else None

    def _lines(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; the last one is left out where it is torn.

        Raises:
            UserError: another line is damaged; the message has its number.
        """
        path = self.run.metrics
        lines = _read_text(path).splitlines() if path.exists() else []
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                if not isinstance(record, dict) or type(record.get("step")) is not int:
                    raise ValueError("it is no object with a step")
            except ValueError as error:
                if number == len(lines):
                    break
                raise UserError(f"damaged {path}, line {number}: {brief(error)}") from error
            records.append(record)
        return records


def flatten(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and values of nested dictionaries, in their order."""
    if not isinstance(node, dict):
        return [(prefix, node)]
    return [pair for key, value in node.items() for pair in flatten(value, f"{prefix}.{key}" if prefix else str(key))]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {brief(error)}") from error


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON file as a dictionary; {} where there is no such file.

    Raises:
        UserError: it cannot be read, or is no JSON object.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(_read_text(path))
    except ValueError as error:
        raise UserError(f"damaged {path}: {brief(error)}") from error
    if not isinstance(found, dict):
        raise UserError(f"damaged {path}: it is no JSON object")
    return found
