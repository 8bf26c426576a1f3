"""Logs a run to TensorBoard, metrics.jsonl, pictures and a progress bar.

This is the only place where the training loop waits for the device.
"""

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from genlab.errors import RunFailed
from genlab.runs.charts import custom_scalars
from genlab.runs.files import write_atomically
from genlab.runs.hparams import Session


class Meter:
    """Collects the logs of all updates on the device; `read` returns their means over the window in one transfer."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}
        self._steps: dict[str, list[int]] = {}

    def add(self, step: int, phase: str, logs: dict[str, Tensor]) -> None:
        self._steps.setdefault(phase, []).append(step)
        for key, value in logs.items():
            self._values.setdefault(f"{phase}/{key}", []).append(value)

    def read(self) -> dict[str, float]:
        """Returns the means since the last `clear`, by "phase/key".

        Raises:
            RunFailed: a loss was not finite; the message names the phase and the step.
        """
        if not self._values:
            return {}
        lengths = [len(values) for values in self._values.values()]
        flat = torch.cat([torch.stack(values).float() for values in self._values.values()]).cpu()
        columns = dict(zip(self._values, flat.double().split(lengths), strict=True))
        bad = [
            (self._steps[phase][int((~values.isfinite()).nonzero()[0])], phase)
            for phase in self._steps
            if not (values := columns[f"{phase}/loss"]).isfinite().all()
        ]
        if bad:
            step, phase = min(bad)
            raise RunFailed(f"the loss of phase '{phase}' is not finite at step {step + 1}")
        return {key: values.mean().item() for key, values in columns.items()}

    def apply(self, function: Callable[[Tensor], Tensor]) -> None:
        """Apply a function of one tensor (n,) to all values, such as the mean over several processes."""
        if self._values:
            flat = function(torch.stack([v.float() for values in self._values.values() for v in values]))
            pieces = flat.split([len(values) for values in self._values.values()])
            self._values = {key: list(piece) for key, piece in zip(self._values, pieces, strict=True)}

    def clear(self) -> None:
        self._values, self._steps = {}, {}

    def state_dict(self) -> dict:
        """Returns the current window for the checkpoint, so that a resumed run logs the same means."""
        return {"values": {k: torch.stack(v).cpu() for k, v in self._values.items()}, "steps": self._steps}

    def load_state_dict(self, state: dict, device: torch.device | None = None) -> None:
        """Restore a window, on the device where the rest of it will be collected.

        Raises:
            KeyError, ValueError: the losses of a phase are missing or do not match its steps.
        """
        self._values = {key: list(values.to(device).unbind()) for key, values in state["values"].items()}
        self._steps = {phase: list(steps) for phase, steps in state["steps"].items()}
        for phase, steps in self._steps.items():
            if len(self._values[f"{phase}/loss"]) != len(steps):
                raise ValueError(f"phase {phase} has {len(steps)} steps but another number of losses")


class Tracker:
    """Writes the logs of a run into its folder and to the terminal.

    Args:
        folder: the run folder; None: nothing is written to disk.
        start, steps: the steps at which this call begins and the run ends.
        settings: the run's settings by dotted key, for TensorBoard's table of runs.
    """

    def __init__(self, folder: Path | None, start: int, steps: int, settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.start, self.steps = folder, start, steps
        self.complete = True  # whether leaving without an exception means that the run has ended
        self._writer: SummaryWriter | None = None
        self._file: TextIO | None = None
        self._session: Session | None = None
        self._tags: set[str] = set()
        self._told: set[str] = set()
        # disable=None: no bar if the output is not a terminal; `_say` prints a line now and then instead.
        self._bar = tqdm(total=steps, initial=start, disable=None, unit="step", dynamic_ncols=True, file=sys.stderr)
        # TensorBoard writes in its own thread and raises an error at the next call, so it need not be printed there.
        self._excepthook = threading.excepthook
        threading.excepthook = lambda error: issubclass(error.exc_type, OSError) or self._excepthook(error)
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                rewind(folder / "metrics.jsonl", start)
                self._file = open(folder / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115 (see `close`)
                self._writer = SummaryWriter(folder, purge_step=start + 1 if start else None)
                self._session = Session(folder, settings) if settings else None
            except BaseException:
                self.close()
                raise
        self._began = self._spoke = time.monotonic()

    def log(self, step: int, values: dict[str, float], partial: bool = False) -> None:
        """Write scalars at a step. `partial`: the window ended early; a resumed run rewrites it."""
        if self._writer:
            for tag, value in values.items():
                self._writer.add_scalar(tag, value, step)
            if not self._tags.issuperset(values):
                self._tags.update(values)
                self._writer.add_custom_scalars(custom_scalars(self._tags))
        if self._file:
            line = {"step": step, **{k: v if math.isfinite(v) else None for k, v in values.items()}}
            self._file.write(json.dumps(line | ({"partial": True} if partial else {})) + "\n")
            self._file.flush()
        self._say(step, values)

    def text(self, tag: str, text: str) -> None:
        if self._writer:
            self._writer.add_text(tag, text)

    def warn(self, step: int, text: str) -> None:
        """Show a warning on the terminal and in TensorBoard."""
        self._bar.write(f"warning: step {step}: {text}", file=sys.stderr)
        self.text("warning", f"step {step}: {text}")

    def tell(self, step: int, left_out: Mapping[str, str]) -> None:
        """Warn once of each measure or picture that was left out, with its reason."""
        for name in [name for name in left_out if name not in self._told]:
            self._told.add(name)
            self.warn(step, f"{name} is left out: {left_out[name]}")

    def histograms(self, step: int, norms: dict[str, float], values: dict[str, np.ndarray]) -> None:
        """Write what `trainer.gradients.inspect` returns."""
        self.log(step, norms)
        if self._writer:
            for tag, array in values.items():
                self._writer.add_histogram(tag, array, step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Write an image (H, W, 3) uint8 into samples/ and to TensorBoard."""
        from PIL import Image

        if self.folder and self._writer:
            self._writer.add_image(name, image, step, dataformats="HWC")
            target = self.folder / "samples" / f"{name}_{step:08d}.png"
            target.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(target)

    def advance(self, step: int) -> None:
        self._bar.update(step - self._bar.n)

    def close(self, success: bool | None = None) -> None:
        """Close everything, even if a part fails. `success`: how the run ended; None: it has not ended.

        Raises:
            OSError: the last lines could not be written.
        """
        with ExitStack() as stack:
            stack.callback(setattr, threading, "excepthook", self._excepthook)
            if self._session:
                stack.callback(self._session.close, success)
            for output in (self._bar, self._file, self._writer):
                if output:
                    stack.callback(output.close)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.close(False if error else True if self.complete else None)

    def _say(self, step: int, values: dict[str, float]) -> None:
        """Show losses on the bar; without a bar, print a line at most every 20 seconds."""
        losses = {
            tag.split("/")[-2]: v for tag, v in values.items() if tag.startswith("train/") and tag.endswith("loss")
        }
        if not losses:
            return
        text = ", ".join(f"{phase} {value:.4g}" for phase, value in losses.items())
        rate = f"{values['time/samples_per_s']:,.0f} samples/s" if "time/samples_per_s" in values else ""
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{text}, {rate}", refresh=False)
            return
        now = time.monotonic()
        if now - self._spoke >= 20:
            left = (now - self._began) * (self.steps - step) / max(1, step - self.start)
            print(f"step {step}/{self.steps}: {text}, {rate}, {tqdm.format_interval(left)} left", flush=True)
            self._spoke = now


def scalars(folder: Path, step: int, values: dict[str, float]) -> None:
    """Add scalars to TensorBoard for a run that is not training."""
    with SummaryWriter(folder, filename_suffix=".evaluation") as writer:
        for tag, value in values.items():
            writer.add_scalar(tag, value, step)


def rewind(path: Path, step: int) -> None:
    """Drop the lines of metrics.jsonl that a run resumed at `step` will rewrite: later, partial or truncated ones."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            record = json.loads(line)
            keep = record["step"] <= step and not record.get("partial")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        if keep:
            kept.append(line + "\n")
    write_atomically(path, "".join(kept))
