"""Reads back what a run has written, for reports, comparisons and notebooks. Never writes; imports no torch.

A run may still be training, or may have died at any moment: a truncated last line of metrics.jsonl is skipped, and a
file that does not exist yet reads as an empty dictionary. A damaged file raises an error that names it.
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

STOPPED = ("failed", "interrupted", "killed")  # the states of a run that ended early
Curve = list[tuple[int, float]]  # (step, value), by step


class Picture(NamedTuple):
    """A picture written during training: `samples/NAME_STEP.png`."""

    name: str
    step: int
    path: Path


class History:
    """Read access to a run folder; each file is read once, when it is first needed.

    Raises:
        UserError: the folder is absent or not a run folder. Each property also raises it if its file is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.run = Run.open(folder)
        self.name = self.run.folder.resolve().name

    @cached_property
    def config(self) -> DictConfig:
        return self.run.read_config()

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The config flattened to dotted keys and plain values; a list counts as one value."""
        return dict(flatten(OmegaConf.to_container(self.config)))

    @cached_property
    def metrics(self) -> dict[str, Curve]:
        """The curve of each tag, without non-finite values; if a step was written twice, the last line counts."""
        curves: dict[str, dict[int, float]] = {}
        for line in self._lines():
            for tag, value in line.items():
                if tag != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                    curves.setdefault(tag, {})[line["step"]] = float(value)
        return {tag: sorted((s, v) for s, v in curve.items() if math.isfinite(v)) for tag, curve in curves.items()}

    @cached_property
    def status(self) -> dict[str, Any]:
        """`status`, `reason`, `step`, ...; {} before training. A run whose process died is `killed`."""
        status = _read_object(self.run.status)
        if status.get("status") == "running" and status.get("host") == socket.gethostname() and not self.run.held():
            return {**status, "status": "killed", "reason": "its process died without writing a status"}
        return status

    @cached_property
    def result(self) -> dict[str, Any]:
        """`step`, `seconds`, `samples_per_s`, `measures`, `best`, ...; {} before the end."""
        return _read_object(self.run.result)

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The result of `genlab evaluate`: `measures` by name, `left_out`, ...; {} if it has not been run."""
        evaluation = _read_object(self.run.evaluation)
        measures = evaluation.get("measures", {})
        if not isinstance(measures, dict) or not all(isinstance(m, dict) and "value" in m for m in measures.values()):
            raise UserError(f"damaged {self.run.evaluation}: 'measures' does not hold a value for each name")
        return evaluation

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The environment of the last start of the run, and of the `earlier` ones; {} for a run of an older genlab."""
        return _read_object(self.run.environment)

    @cached_property
    def pictures(self) -> dict[str, list[Picture]]:
        """The pictures written during training, by name; each list is sorted by step."""
        by_name: dict[str, list[Picture]] = {}
        for path in sorted(self.run.pictures.glob("*.png")):
            if match := re.fullmatch(r"(.+)_(\d+)", path.stem):
                by_name.setdefault(match[1], []).append(Picture(match[1], int(match[2]), path))
        return {name: sorted(pictures, key=lambda picture: picture.step) for name, pictures in by_name.items()}

    def last(self, tag: str) -> float | None:
        """Returns the last value of a curve; None if there is none."""
        curve = self.metrics.get(tag)
        return curve[-1][1] if curve else None

    def _lines(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl, without the last one if it is truncated.

        Raises:
            UserError: any other line is damaged; the message contains its number.
        """
        path = self.run.metrics
        lines = _read_text(path).splitlines() if path.exists() else []
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                if not isinstance(record, dict) or type(record.get("step")) is not int:
                    raise ValueError("not an object with a step")
            except ValueError as error:
                if number == len(lines):
                    break
                raise UserError(f"damaged {path}, line {number}: {brief(error)}") from error
            records.append(record)
        return records


def flatten(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Returns the dotted keys and values of nested dictionaries, in order."""
    if not isinstance(node, dict):
        return [(prefix, node)]
    return [pair for key, value in node.items() for pair in flatten(value, f"{prefix}.{key}" if prefix else str(key))]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {brief(error)}") from error


def _read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON file as a dictionary; returns {} if there is no such file.

    Raises:
        UserError: the file cannot be read, or is not a JSON object.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(_read_text(path))
    except ValueError as error:
        raise UserError(f"damaged {path}: {brief(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"damaged {path}: not a JSON object")
    return content
