"""What the trainer can be told. Free of torch, so that a wrong word is refused before anything heavy is imported."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from genlab.errors import UserError, within

Execution = Literal["auto", "eager", "compile", "graph"]  # of an update, and of the net of a sampler
EXECUTIONS: tuple[str, ...] = get_args(Execution)


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
    devices: int = 1  # ranks that share each batch, one a GPU, or so many processes on the CPU
    precision: Literal["fp32", "bf16"] = "fp32"
    execution: Execution = "auto"  # of an update; auto: by device and length of run
    threads: int | Literal["auto"] = "auto"  # of the CPU for an operation; auto: 1 where the work of an update is small
    deterministic: bool = False  # only kernels that give the same bits each time; CPU runs do so anyway
    log_every: int = 50
    sample_every: int = 1000
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    histogram_every: int = 0  # of parameters and gradients, with the gradients' norms
    keep: int = 0  # numbered checkpoints kept beside last.pt and best.pt
    monitor: str = "auto"  # measure that best.pt follows; auto: eval/loss, or eval/sliced_w2 for adversarial games
    mode: Literal["auto", "min", "max"] = "auto"  # what is better; auto: as is known of the measure, else min
    patience: int = 0  # stop after so many evaluations without a better value of the monitored measure; 0: never
    on_collapse: Literal["warn", "stop", "off"] = "warn"  # when posterior, modes or discriminator have collapsed
    overfit_batches: int = 0  # train on the first so many batches over and over; 0: on all
    anomaly: bool = False  # stop at the first gradient that is NaN, and say where it comes from; slow
    profile: int = 0  # steps to record operation by operation

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "devices"):
            within(f"trainer.{name}", getattr(self, name), 1)
        for name in ("epochs", "max_minutes", "decay_steps"):
            if getattr(self, name) is not None:
                within(f"trainer.{name}", getattr(self, name), above=0)
        for name in ("clip_grad_norm", "warmup", "keep", "patience", "overfit_batches", "profile", *INTERVALS):
            within(f"trainer.{name}", getattr(self, name), 0)
        within("trainer.decay_to", self.decay_to, 0, 1)
        within("trainer.ema", self.ema, 0, below=1)
        if self.threads != "auto":
            within("trainer.threads", self.threads, 1)
        if self.patience and not self.evaluate_every:
            raise UserError("trainer.patience: it counts evaluations, and trainer.evaluate_every is 0")
        if self.batch_size % self.accumulate:
            raise UserError(f"trainer.accumulate: {self.accumulate} does not divide batch_size {self.batch_size}")
        self.check_ranks(self.devices)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", self.device):
            raise UserError(f"trainer.device: '{self.device}' is none of auto, cpu, cuda, cuda:N, mps")

    def check_ranks(self, size: int) -> None:
        """Raises: UserError: `size` ranks cannot share a batch evenly, or cannot share the device."""
        if self.batch_size % (size * self.accumulate):
            parts = f"{size} devices" + (f" x {self.accumulate} accumulated parts" if self.accumulate > 1 else "")
            raise UserError(f"trainer.batch_size: {self.batch_size} cannot be cut evenly for {parts}")
        if size > 1 and self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"trainer.device: '{self.device}' is one device; several are auto, cpu or cuda")


INTERVALS = ("log_every", "sample_every", "evaluate_every", "checkpoint_every", "histogram_every")
