"""What the trainer can be told. Free of torch, so that a wrong word is refused before anything heavy is imported."""

import re
from dataclasses import dataclass
from typing import Literal

from genlab.errors import UserError


@dataclass(kw_only=True)
class Options:
    """Options of `Trainer`, the same for every family. An interval of 0 switches a thing off.

    Raises:
        UserError: a value out of its range.
    """

    steps: int = 5000  # steps to train; each runs all phases of the family once
    epochs: float | None = None  # instead of `steps`: passes over the training data, batch_size samples a step
    max_minutes: float | None = None  # stop in good order after so long, whatever is left
    batch_size: int = 128  # samples of one update, all accumulated parts together
    accumulate: int = 1  # parts a batch is cut into, one after the other, to save memory
    clip_grad_norm: float = 0.0  # largest norm of the gradient of one update; 0: no clipping
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # of the learning rate
    warmup: int = 0  # steps over which the learning rate grows linearly from 0
    decay_steps: int | None = None  # where a linear or cosine schedule ends; None: at `steps`
    decay_to: float = 0.0  # the factor of the learning rate that it ends at, and keeps from there
    ema: float = 0.999  # decay of the averaged twin that is sampled and measured; 0: no twin
    device: str = "auto"  # auto, cpu, cuda, cuda:N or mps
    precision: Literal["fp32", "bf16"] = "fp32"
    execution: Literal["auto", "eager", "compile", "graph"] = "auto"  # of an update; auto: by device and length of run
    threads: int | Literal["auto"] = "auto"  # of the CPU for an operation; auto: 1 where the work of an update is small
    log_every: int = 50
    sample_every: int = 1000
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    keep: int = 0  # numbered checkpoints kept beside last.pt and best.pt
    monitor: str = "auto"  # measure that best.pt follows; auto: eval/loss, or eval/sliced_w2 for adversarial games
    mode: Literal["min", "max"] = "min"  # whether less or more of the monitored measure is better
    on_collapse: Literal["warn", "stop", "off"] = "warn"  # what to do when a validation KL stays near 0

    def __post_init__(self) -> None:
        positive = {"steps": self.steps, "batch_size": self.batch_size, "accumulate": self.accumulate}
        for name, value in positive.items():
            if value < 1:
                raise UserError(f"trainer.{name}: {value} is not positive")
        limits = {"epochs": self.epochs, "max_minutes": self.max_minutes, "decay_steps": self.decay_steps}
        for name, value in limits.items():
            if value is not None and not value > 0:
                raise UserError(f"trainer.{name}: {value} is not positive")
        for name in ("clip_grad_norm", "warmup", "keep", *INTERVALS):
            if not getattr(self, name) >= 0:
                raise UserError(f"trainer.{name}: {getattr(self, name)} is negative")
        if not 0 <= self.decay_to <= 1:
            raise UserError(f"trainer.decay_to: {self.decay_to} is not in [0, 1]")
        if not 0 <= self.ema < 1:
            raise UserError(f"trainer.ema: {self.ema} is not in [0, 1)")
        if self.threads != "auto" and self.threads < 1:
            raise UserError(f"trainer.threads: {self.threads} is not positive")
        if self.batch_size % self.accumulate:
            raise UserError(f"trainer.accumulate: {self.accumulate} does not divide batch_size {self.batch_size}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", self.device):
            raise UserError(f"trainer.device: '{self.device}' is none of auto, cpu, cuda, cuda:N, mps")


INTERVALS = ("log_every", "sample_every", "evaluate_every", "checkpoint_every")
