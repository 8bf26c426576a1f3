"""The training loop, top to bottom, the same for every family.

Every step reseeds from (seed, step), and batch number n is a pure function of (seed, n). So weights, optimizer state
and the step number are all that a checkpoint needs for a bitwise exact resume.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from genlab.data.base import Batch, Dataset, Stream
from genlab.errors import RunFailed, UserError
from genlab.metrics.attempts import Reasons, attempt
from genlab.models.base import Family
from genlab.runs.tracker import Meter, Tracker
from genlab.trainer import checkpoint, device, gradients
from genlab.trainer.clock import Clock
from genlab.trainer.debug import Debug, first_batches
from genlab.trainer.distributed import Group
from genlab.trainer.ema import EMA
from genlab.trainer.execution.choice import decide
from genlab.trainer.execution.updates import OptimizerFactory, make_optimizer, make_update
from genlab.trainer.lookahead import Lookahead
from genlab.trainer.monitors import Monitors
from genlab.trainer.options import Options
from genlab.trainer.schedule import factor
from genlab.trainer.state import State, collect, restore
from genlab.trainer.validate import Best, validation_losses

LEAST_FIRST = 256  # samples that a family is shown at least, before the first step


class Result(NamedTuple):
    """How a call of `fit` ended."""

    step: int  # total steps done
    reason: str  # why it stopped: "steps", "max_minutes", "patience", or the text from `stop` or a monitor
    seconds: float  # of training in this call, without evaluation, pictures and checkpoints
    samples_per_s: float  # counting batch_size per step, however many batches the phases draw
    measures: dict[str, float]  # of the last evaluation
    best: tuple[float, int] | None  # best value of the monitored measure, and its step


class Trainer:
    """Trains a family on a data set.

    Args:
        optimizers: by phase name, a function that makes the optimizer from the phase's parameters.
        folder: where metrics, pictures and checkpoints are written; None: nowhere.
        evaluate: returns measures of the (averaged) family, by name.
        snapshot: returns pictures of the (averaged) family, (H, W, 3) uint8, by name.
        left_out: filled by `evaluate` and `snapshot` with the reason for each measure or picture they left out, by
            name; the user is warned once of each. Their exceptions are recorded here too: they never end a run.
        stop: called after each step; a non-empty string ends the run cleanly, with that as the reason.
        saving: called before each checkpoint is written.
        notes: texts for TensorBoard, by name, such as the config.
        settings: the run's settings by dotted key, for TensorBoard's HParams table.

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
        left_out: Reasons | None = None,
        stop: Callable[[], str] = lambda: "",
        saving: Callable[[], None] = lambda: None,
        notes: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.options = options = options or Options()
        self.device = device.resolve(options.device)
        self.group = Group()
        if options.devices not in (1, self.group.size):
            raise UserError(f"trainer.devices: {options.devices} ranks must be started by 'genlab train' or torchrun")
        self.family, self.data = family.to(self.device).train(), data.to(self.device)
        self.group.align(self.family)
        self.seed, self.folder = seed, folder if self.group.first else None
        self.evaluate, self.snapshot, self.stop, self.saving = evaluate, snapshot, stop, saving
        self.left_out = {} if left_out is None else left_out
        self.notes, self.settings = notes or {}, settings
        self.steps = options.steps
        if options.epochs is not None:
            self.steps = max(1, round(options.epochs * len(data) / options.batch_size))

        self.phases = family.phases()
        names = {phase.name for phase in self.phases}
        if not names <= set(optimizers):
            raise UserError(f"optimizer: holds {', '.join(optimizers)}, but the phases are {', '.join(sorted(names))}")
        self.optimizers = {p.name: make_optimizer(p, optimizers[p.name], self.device) for p in self.phases}
        self.rates = {name: [g["lr"] for g in o.param_groups] for name, o in self.optimizers.items()}
        self.lookaheads = {
            name: Lookahead(self.optimizers[name], f"optimizer.{name}", options.clip_grad_norm)
            for name in family.foresees
        }
        family.rules = self.lookaheads
        self.parts = options.accumulate * self.group.size
        self.execution = decide(options, family, self.phases, self.steps, self.device, self.group.size)
        family.to(memory_format=self.execution.layout)  # pyright: ignore[reportCallIssue]
        settled, reduce = replace(options, execution=self.execution.mode), self.group.reducer(family)
        self.updates = [make_update(p, self.optimizers[p.name], settled, self.device, reduce) for p in self.phases]
        stream = Stream(data, options.batch_size, seed, self.parts)
        self.stream = first_batches(stream, options.overfit_batches)
        self.batches_per_step = sum(phase.repeats for phase in self.phases)
        self.ema = EMA(family, options.ema) if options.ema else None
        self.meter = Meter()
        self.step = 0
        self.best = Best(options.monitor, options.mode, len(self.phases))
        self.measures: dict[str, float] = {}
        self.monitors = Monitors(data.spec.classes)

    def fit(self) -> Result:
        """Train until `steps`, `max_minutes` or `stop`; write a checkpoint at the end.

        Raises:
            RunFailed: a loss is not finite. The last checkpoint on disk is from before it.
        """
        options, start, reason, halt = self.options, self.step, "steps", ""
        clock = Clock(self.device, lambda: sum(update.preparation for update in self.updates))
        debugging = Debug(options, self.folder, self.device)
        with (
            device.deterministic(options.deterministic),
            device.threads(self.execution.threads),
            Tracker(self.folder, self.step, self.steps, self.settings) as tracker,
            debugging,
        ):
            for name, text in self.notes.items():
                tracker.text(name, text)
            while self.step < self.steps:
                self.train_step()
                debugging.step()
                tracker.advance(self.step)
                if options.max_minutes and clock.minutes_in_all > options.max_minutes:
                    reason = "max_minutes"
                reason = self.stop() or halt or reason
                ends = self.group.ends(reason != "steps", self.step) or self.step == self.steps

                if self._due(options.log_every, ends):
                    values, partial = self._read(), self.step % options.log_every != 0
                    tracker.log(self.step, values | self._timing(clock.rate(self.step - start)), partial)
                    if not partial:
                        self.meter.clear()
                        halt = self._watch(tracker, values) or halt
                improved = False
                if self._due(options.evaluate_every, ends):
                    with clock.pause():
                        self.measures, left_out = self.group.share(lambda: (self._measure(), self.left_out))
                        self.left_out.update(left_out)
                        tracker.tell(self.step, self.left_out)
                        partial = self.step % options.evaluate_every != 0
                        tracker.log(self.step, self.measures, partial)
                    if not partial:
                        halt = self._watch(tracker, self.measures) or halt
                    improved = self.best.update(self.step, self.measures, partial, self.left_out)
                    if options.patience and self.best.stale >= options.patience:
                        halt = halt or "patience"
                if self._due(options.sample_every, ends) and self.group.first:
                    with clock.pause(), self._model() as model:
                        device.seed(self.device, self.seed)  # to see the same samples change over time
                        pictures = attempt("pictures", lambda: self.snapshot(model), self.left_out)
                        for name, picture in (pictures or {}).items():
                            tracker.picture(self.step, name, picture)
                        tracker.tell(self.step, self.left_out)
                if self._due(options.checkpoint_every, ends) or (improved and options.checkpoint_every):
                    with clock.pause():
                        self.save(best=improved)
                if self._due(options.histogram_every, False):
                    with clock.pause():
                        batch = self.stream(self.step * self.batches_per_step)
                        tracker.histograms(self.step, *gradients.inspect(self.family, batch, self.seed, self.step))
                if ends:
                    tracker.complete = reason in ("steps", "max_minutes")
                    break
        device.synchronize(self.device)
        seconds = clock.seconds
        rate = (self.step - start) * options.batch_size / max(seconds, 1e-9)
        return Result(self.step, reason, seconds, rate, self.measures, self.best.found)

    def train_step(self) -> None:
        """Run all phases once: each repeat on a fresh batch, each phase with what the earlier ones carried."""
        if self.step == 0:
            self._initialise()
        device.seed(self.device, self.seed, self.step)
        scale = factor(self.options, self.step, self.steps)
        now = torch.full((), self.step, dtype=torch.int64, device=self.device)
        carried: list[Batch] = [{} for _ in range(self.options.accumulate)]
        number = self.step * self.batches_per_step
        for phase, update in zip(self.phases, self.updates, strict=True):
            for group, rate in zip(self.optimizers[phase.name].param_groups, self.rates[phase.name], strict=True):
                group["lr"] = scale * rate
            for lookahead in self.lookaheads.values():
                lookahead.read()
            for repeat in range(phase.repeats if phase.runs_at(self.step) else 0):
                logs, new = update(self._parts(number + repeat, carried, now))
                self.meter.add(self.step, phase.name, logs)
                carried = [old | fresh for old, fresh in zip(carried, new, strict=True)]
            number += phase.repeats
        if self.ema:
            self.ema.update(self.step)
        self.step += 1

    def _initialise(self) -> None:
        """Show the family the first samples, the same on every rank however a batch is cut into parts."""
        if type(self.family).initialise is Family.initialise:
            return
        device.seed(self.device, self.seed, self.step)
        needed = range(-(-LEAST_FIRST * self.parts // self.options.batch_size))
        parts = [self.stream(*divmod(i, self.parts)) for i in needed]
        self.family.initialise({key: torch.cat([part[key] for part in parts]) for key in parts[0]})

    def _parts(self, number: int, carried: list[Batch], now: torch.Tensor) -> Iterator[Batch]:
        """Yields this rank's parts of batch `number`; with several, each has its own seed, whichever rank runs it."""
        for i, carry in enumerate(carried):
            part = self.group.rank * len(carried) + i
            if self.parts > 1:
                device.seed(self.device, self.seed, self.step, number, part)
            yield self.stream(number, part) | carry | {"step": now}

    def save(self, best: bool = False) -> None:
        """Write last.pt and, if `best`, link it to best.pt.

        Raises:
            RunFailed: a loss or a weight is not finite; nothing is written.
        """
        self._read()
        weights = [p for p in self.family.parameters() if p.is_floating_point()]
        if not torch.stack([p.isfinite().all() for p in weights]).all():
            raise RunFailed(f"a weight is not finite after step {self.step}")
        if self.folder:
            self.saving()
            folder = self.folder / "checkpoints"
            last = checkpoint.save(folder, self.state_dict(), self.options.keep)
            if best:
                checkpoint.copy(last, folder / "best.pt")

    def state_dict(self) -> State:
        """Returns everything that a resume needs."""
        return collect(self)

    def load_state_dict(self, state: State) -> None:
        """Restore a state returned by `state_dict`.

        Raises:
            UserError: the state belongs to another model or optimizer, or to training on other data.
        """
        restore(self, state)

    @contextmanager
    def _model(self):
        """Yields the family to sample and evaluate: the averaged copy if there is one, else the family itself."""
        if self.ema:
            yield self.ema.model
            return
        self.family.eval()
        yield self.family
        self.family.train()

    def _watch(self, tracker: Tracker, record: dict[str, float]) -> str:
        """Pass a record to the monitors and show their warnings; returns why to stop after the next step, or ""."""
        warnings = [] if self.options.on_collapse == "off" else self.monitors(self.step, record)
        for warning in warnings:
            tracker.warn(self.step, warning)
        return warnings[0] if warnings and self.options.on_collapse == "stop" else ""

    def _measure(self) -> dict[str, float]:
        with self._model() as model:
            device.seed(self.device, self.seed)  # the same noise at each evaluation
            size = self.options.batch_size
            losses = attempt("eval/loss", lambda: validation_losses(model, self.data, size), self.left_out)
            return (losses or {}) | (attempt("measures", lambda: self.evaluate(model), self.left_out) or {})

    def _read(self) -> dict[str, float]:
        if self.group.size > 1:
            self.meter.apply(self.group.mean)
        return {f"train/{key}": value for key, value in self.meter.read().items()}

    def _timing(self, steps_per_s: float) -> dict[str, float]:
        return {
            "time/samples_per_s": steps_per_s * self.options.batch_size,
            "time/s_per_step": 1 / steps_per_s,
            "time/peak_memory_mib": device.peak_memory(self.device),
        } | {f"lr/{name}": optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}

    def _due(self, every: int, ends: bool) -> bool:
        return bool(every) and (ends or self.step % every == 0)
