"""The training loop, top to bottom, the same for every family.

Every step reseeds from (seed, step), and batch number n is a pure function of (seed, n). So weights, optimizer state
and the step's number are all that a checkpoint needs for a resume that is exact to the bit.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from genlab.data.base import Batch, Dataset, Stream
from genlab.errors import RunFailed, UserError, brief, out_of_memory
from genlab.models.base import Family
from genlab.tracker import Meter, Tracker
from genlab.trainer import checkpoint, device
from genlab.trainer.ema import EMA
from genlab.trainer.monitors import CollapseMonitor
from genlab.trainer.options import Options
from genlab.trainer.schedule import factor
from genlab.trainer.step import OptimizerFactory, make_optimizer, make_update
from genlab.trainer.validate import Best, validation_losses


class Result(NamedTuple):
    """How a call of `fit` ended."""

    step: int  # steps done in all
    reason: str  # why it stopped: "steps", "max_minutes", or what `stop` or a monitor said
    seconds: float  # of training in this call; evaluation, pictures and checkpoints not counted
    samples_per_s: float  # batch_size samples a step, however many fresh batches its phases draw
    measures: dict[str, float]  # of the last evaluation
    best: tuple[float, int] | None  # best value of the monitored measure, and its step


class Trainer:
    """Trains a family on a data set.

    Args:
        optimizers: makes the optimizer of each phase from its parameters, by the phase's name.
        folder: where metrics, pictures and checkpoints go; None keeps nothing.
        evaluate: measures of the (averaged) family, by name.
        snapshot: pictures of the (averaged) family, (H, W, 3) uint8, by name.
        stop: asked after each step; a word other than "" ends the run in good order.
        notes: texts for TensorBoard's page, by name: the config, say.

    Raises:
        UserError: a phase has no optimizer, or this machine does not have the device.
    """

    def __init__(
        self,
        family: Family,
        data: Dataset,
        optimizers: Mapping[str, OptimizerFactory],
        options: Options | None = None,
        seed: int = 0,
        folder: Path | None = None,
        evaluate: Callable[[Family], dict[str, float]] = lambda family: {},
        snapshot: Callable[[Family], dict[str, np.ndarray]] = lambda family: {},
        stop: Callable[[], str] = lambda: "",
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.options = options = options or Options()
        self.device = device.resolve(options.device)
        self.family, self.data = family.to(self.device).train(), data.to(self.device)
        self.seed, self.folder = seed, folder
        self.evaluate, self.snapshot, self.stop, self.notes = evaluate, snapshot, stop, notes or {}
        self.steps = options.steps
        if options.epochs is not None:
            self.steps = max(1, round(options.epochs * len(data) / options.batch_size))

        self.phases = family.phases()
        names = {phase.name for phase in self.phases}
        if not names <= set(optimizers):
            raise UserError(f"optimizer: has {', '.join(optimizers)}, but the phases are {', '.join(sorted(names))}")
        self.optimizers = {p.name: make_optimizer(p, optimizers[p.name], self.device) for p in self.phases}
        self.rates = {name: [g["lr"] for g in o.param_groups] for name, o in self.optimizers.items()}
        self.updates = [make_update(p, self.optimizers[p.name], options, self.device) for p in self.phases]
        self.stream = Stream(data, options.batch_size, seed, parts=options.accumulate)
        self.batches_per_step = sum(phase.repeats for phase in self.phases)
        self.ema = EMA(family, options.ema) if options.ema else None
        self.meter = Meter()
        self.step = 0
        self.best = Best(options.monitor, options.mode, len(self.phases))
        self.measures: dict[str, float] = {}
        self.collapse = CollapseMonitor()
        self._clock = 0.0  # seconds of training; side work is taken out

    def fit(self) -> Result:
        """Train until `steps`, `max_minutes` or `stop`; write a checkpoint at the end.

        Raises:
            RunFailed: a loss is not finite. The last checkpoint on disk is from before that.
        """
        options, began, start = self.options, time.monotonic(), self.step
        reason, halt, window = "steps", "", (self.step, 0.0)
        self._clock = -time.perf_counter()
        with device.deterministic(options.deterministic), Tracker(self.folder, self.step, self.steps) as tracker:
            for name, text in self.notes.items():
                tracker.text(name, text)
            while self.step < self.steps:
                self.train_step()
                tracker.advance(self.step)
                if options.max_minutes and time.monotonic() - began > 60 * options.max_minutes:
                    reason = "max_minutes"
                reason = self.stop() or halt or reason
                ends = reason != "steps" or self.step == self.steps

                if self._due(options.log_every, ends):
                    values = self._read()
                    now = (self.step, self._clock + time.perf_counter())
                    rate = (now[0] - window[0]) / max(now[1] - window[1], 1e-9)
                    partial, window = self.step % options.log_every != 0, now
                    tracker.log(self.step, values | self._timing(rate), partial)
                    if not partial:
                        self.meter.clear()
                if self._due(options.evaluate_every, ends):
                    with self._side_work(), self._model() as model:
                        device.seed(self.device, self.seed)  # the same noise each time
                        losses = validation_losses(model, self.data, options.batch_size)
                        self.measures = losses | self.evaluate(model)
                        partial = self.step % options.evaluate_every != 0
                        tracker.log(self.step, self.measures, partial)
                    warning = "" if partial or options.on_collapse == "off" else self.collapse(self.measures)
                    if warning:
                        tracker.warn(self.step, warning)
                        halt = warning if options.on_collapse == "stop" else ""  # in good order, after the next step
                if self._due(options.sample_every, ends):
                    with self._side_work(), self._model() as model:
                        device.seed(self.device, self.seed)  # one sees the same samples change
                        for name, picture in self.snapshot(model).items():
                            tracker.picture(self.step, name, picture)
                improved = self._due(options.evaluate_every, ends) and self.best.update(self.step, self.measures)
                if self._due(options.checkpoint_every, ends) or (improved and options.checkpoint_every):
                    with self._side_work():
                        self.save(best=improved)
                if ends:
                    break
        device.synchronize(self.device)
        seconds = self._clock + time.perf_counter()
        rate = (self.step - start) * options.batch_size / max(seconds, 1e-9)
        return Result(self.step, reason, seconds, rate, self.measures, self.best.found)

    def train_step(self) -> None:
        """All phases once: each repeat on a fresh batch, each phase seeing what the earlier ones carried."""
        device.seed(self.device, self.seed, self.step)
        scale = factor(self.options, self.step, self.steps)
        now = torch.full((), self.step, dtype=torch.int64, device=self.device)
        carried: list[Batch] = [{} for _ in range(self.options.accumulate)]
        number = self.step * self.batches_per_step
        for phase, update in zip(self.phases, self.updates, strict=True):
            for group, rate in zip(self.optimizers[phase.name].param_groups, self.rates[phase.name], strict=True):
                group["lr"] = scale * rate
            for repeat in range(phase.repeats if self.step % phase.every == 0 else 0):
                parts = [self.stream(number + repeat, i) | c | {"step": now} for i, c in enumerate(carried)]
                logs, new = update(parts)
                self.meter.add(self.step, phase.name, logs)
                carried = [old | fresh for old, fresh in zip(carried, new, strict=True)]
            number += phase.repeats
        if self.ema:
            self.ema.update(self.step)
        self.step += 1

    def save(self, best: bool = False) -> None:
        """Write last.pt, and best.pt as the same file where `best`.

        Raises:
            RunFailed: a loss or a weight is not finite; nothing is written.
        """
        self._read()
        weights = [p for p in self.family.parameters() if p.is_floating_point()]
        if not torch.stack([p.isfinite().all() for p in weights]).all():
            raise RunFailed(f"a weight is not finite after step {self.step}")
        if self.folder:
            folder = self.folder / "checkpoints"
            last = checkpoint.save(folder, self.state_dict(), self.options.keep)
            if best:
                checkpoint.copy(last, folder / "best.pt")

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs, as tensors, numbers, strings and containers of them."""
        return {
            "step": self.step,
            "seed": self.seed,
            "spec": [list(self.data.spec.shape), self.data.spec.classes, self.data.spec.range],
            "family": self.family.state_dict(),
            "ema": self.ema.twin.state_dict() if self.ema else None,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "meter": self.meter.state_dict(),
            "best": self.best.found,
            "collapse": self.collapse.count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state that `state_dict` gave.

        Raises:
            UserError: it is the state of another model.
        """
        try:
            self.family.load_state_dict(state["family"])
            if self.ema:
                self.ema.twin.load_state_dict(state.get("ema") or state["family"])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            # What follows may be absent: an older genlab, or one without that monitor, wrote the file.
            self.meter.load_state_dict(state.get("meter", Meter().state_dict()), self.device)
            value, step = state.get("best") or (None, None)
            self.best.found = None if value is None else (float(value), int(step))
            self.collapse.count = int(state.get("collapse", 0))
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            if out_of_memory(error):
                raise
            raise UserError(f"the checkpoint does not fit this model: {brief(error)}") from error
        self.step = state["step"]

    @contextmanager
    def _model(self):
        """The family as it is sampled and measured: the averaged twin where there is one, else itself."""
        if self.ema:
            yield self.ema.twin
            return
        self.family.eval()
        yield self.family
        self.family.train()

    def _read(self) -> dict[str, float]:
        return {f"train/{key}": value for key, value in self.meter.read().items()}

    def _timing(self, steps_per_s: float) -> dict[str, float]:
        return {
            "time/samples_per_s": steps_per_s * self.options.batch_size,
            "time/s_per_step": 1 / steps_per_s,
            "time/peak_memory_mib": device.peak_memory(self.device),
        } | {f"lr/{name}": optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}

    def _due(self, every: int, ends: bool) -> bool:
        return bool(every) and (ends or self.step % every == 0)

    @contextmanager
    def _side_work(self):
        """Time that is not training: the clock stands still."""
        device.synchronize(self.device)
        began = time.perf_counter()
        yield
        self._clock -= time.perf_counter() - began
