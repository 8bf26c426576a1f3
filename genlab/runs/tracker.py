"""What a run says of itself: TensorBoard, metrics.jsonl, pictures, a progress bar.

This is the only place where the host waits for the device.
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
    """Collects the logs of every update on the device; reads them all at once, as means over the window."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}
        self._steps: dict[str, list[int]] = {}

    def add(self, step: int, phase: str, logs: dict[str, Tensor]) -> None:
        self._steps.setdefault(phase, []).append(step)
        for key, value in logs.items():
            self._values.setdefault(f"{phase}/{key}", []).append(value)

    def read(self) -> dict[str, float]:
        """Means since the last `clear`, by "phase/key".

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
        """Put all values through a function of one tensor (n,): their mean over several processes, say."""
        if self._values:
            flat = function(torch.stack([v.float() for values in self._values.values() for v in values]))
            pieces = flat.split([len(values) for values in self._values.values()])
            self._values = {key: list(piece) for key, piece in zip(self._values, pieces, strict=True)}

    def clear(self) -> None:
        self._values, self._steps = {}, {}

    def state_dict(self) -> dict:
        """A window that is still open, for the checkpoint: a resumed run logs the same means."""
        return {"values": {k: torch.stack(v).cpu() for k, v in self._values.items()}, "steps": self._steps}

    def load_state_dict(self, state: dict, device: torch.device | None = None) -> None:
        """Take up a window that was open, on the device where the rest of it will be.

        Raises:
            KeyError, ValueError: a phase without its losses.
        """
        self._values = {key: list(values.to(device).unbind()) for key, values in state["values"].items()}
        self._steps = {phase: list(steps) for phase, steps in state["steps"].items()}
        for phase, steps in self._steps.items():
            if len(self._values[f"{phase}/loss"]) != len(steps):
                raise ValueError(f"{len(steps)} steps of phase {phase} with another number of losses")


class Tracker:
    """Writes what a run logs into its folder and onto the terminal.

    Args:
        folder: of the run; None writes nothing to disk.
        start, steps: where this call begins and where the run ends.
        settings: of the run, by dotted key, for TensorBoard's table of runs.
    """

    def __init__(self, folder: Path | None, start: int, steps: int, settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.start, self.steps = folder, start, steps
        self.complete = True  # whether an end without an exception is the end of the run
        self._writer: SummaryWriter | None = None
        self._file: TextIO | None = None
        self._session: Session | None = None
        self._tags: set[str] = set()
        self._told: set[str] = set()
        # disable=None: no bar where the output is no terminal; a plain line now and then instead.
        self._bar = tqdm(total=steps, initial=start, disable=None, unit="step", dynamic_ncols=True, file=sys.stderr)
        # TensorBoard writes in a thread of its own and hands an error on to the next call: no need to print it there.
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
        """Write scalars at a step. `partial`: the window ends early; a resumed run writes it anew."""
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
        """A line that the user must see: on the terminal and on TensorBoard's page."""
        self._bar.write(f"warning: step {step}: {text}", file=sys.stderr)
        self.text("warning", f"step {step}: {text}")

    def tell(self, step: int, left_out: Mapping[str, str]) -> None:
        """Warn of each measure and picture that could not be had, by name with its reason, once."""
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
        """Write an image (H, W, 3) uint8 into samples/ and onto TensorBoard's page."""
        from PIL import Image

        if self.folder and self._writer:
            self._writer.add_image(name, image, step, dataformats="HWC")
            target = self.folder / "samples" / f"{name}_{step:08d}.png"
            target.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(target)

    def advance(self, step: int) -> None:
        self._bar.update(step - self._bar.n)

    def close(self, success: bool | None = None) -> None:
        """Close all of it, whichever part fails. `success`: how the run ended; None: it has not.

        Raises:
            OSError: the last lines could not be written.
        """
        with ExitStack() as stack:
            stack.callback(setattr, threading, "excepthook", self._excepthook)
            if self._session:
                stack.callback(self._session.close, success)
            for each in (self._bar, self._file, self._writer):
                if each:
                    stack.callback(each.close)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.close(False if error else True if self.complete else None)

    def _say(self, step: int, values: dict[str, float]) -> None:
        """Losses on the bar, or a line on a plain output at most every 20 seconds."""
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
    """Add scalars to the TensorBoard page of a run that is not training."""
    with SummaryWriter(folder, filename_suffix=".evaluation") as writer:
        for tag, value in values.items():
            writer.add_scalar(tag, value, step)


def rewind(path: Path, step: int) -> None:
    """Drop the lines of metrics.jsonl that a run resumed at `step` writes anew: later, partial or torn ones."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            record = json.loads(line)
            whole = record["step"] <= step and not record.get("partial")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        if whole:
            kept.append(line + "\n")
    write_atomically(path, "".join(kept))
