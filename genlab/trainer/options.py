"""Options of the trainer. Imports no torch, so that a wrong value is refused before anything heavy is imported."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from genlab.errors import UserError, within

Execution = Literal["auto", "eager", "compile", "graph"]  # of an update, and of a sampler's net
EXECUTIONS: tuple[str, ...] = get_args(Execution)


@dataclass(kw_only=True)
class Options:
    """Options of `Trainer`, the same for every family. An interval of 0 switches the action off.

    Raises:
        UserError: a value is out of range.
    """

    steps: int = 5000  # steps to train; each runs all phases of the family once
    epochs: float | None = None  # instead of `steps`: passes over the training data, batch_size samples a step
    max_minutes: float | None = None  # stop cleanly after this many minutes, whatever is left to do
    batch_size: int = 128  # samples per update, all accumulated parts together
    accumulate: int = 1  # parts that a batch is cut into and run one after the other, to save memory
    clip_grad_norm: float = 0.0  # largest gradient norm of an update; 0: no clipping
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # of the learning rate
    warmup: int = 0  # steps over which the learning rate grows linearly from 0
    decay_steps: int | None = None  # the step where a linear or cosine schedule ends; None: `steps`
    decay_to: float = 0.0  # final factor of the learning rate, reached at decay_steps and kept from there
    ema: float = 0.999  # decay of the averaged weights, which are sampled and evaluated; 0: no averaging
    device: str = "auto"  # auto, cpu, cuda, cuda:N or mps
    devices: int = 1  # ranks that share each batch: one per GPU, or this many processes on the CPU
    precision: Literal["fp32", "bf16"] = "fp32"
    execution: Execution = "auto"  # of an update; auto: chosen by device and length of the run
    threads: int | Literal["auto"] = "auto"  # CPU threads per operation; auto: 1 if updates are small
    deterministic: bool = False  # use only kernels with reproducible results; CPU runs are reproducible anyway
    log_every: int = 50
    sample_every: int = 1000
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    histogram_every: int = 0  # histograms of parameters and gradients, and gradient norms
    keep: int = 0  # numbered checkpoints to keep beside last.pt and best.pt
    monitor: str = "auto"  # measure that decides best.pt; auto: eval/loss, or eval/sliced_w2 for adversarial games
    mode: Literal["auto", "min", "max"] = "auto"  # which is better; auto: as the catalogue says, else min
    patience: int = 0  # stop after this many evaluations without a better monitored value; 0: never
    on_collapse: Literal["warn", "stop", "off"] = "warn"  # on posterior or mode collapse, or a saturated discriminator
    overfit_batches: int = 0  # train only on this many first batches, repeatedly; 0: on all
    anomaly: bool = False  # stop at the first NaN gradient and say where it comes from; slow
    profile: int = 0  # steps to profile, operation by operation

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
            raise UserError("trainer.patience: counts evaluations, so trainer.evaluate_every must not be 0")
        if self.batch_size % self.accumulate:
            raise UserError(f"trainer.accumulate: {self.accumulate} does not divide batch_size {self.batch_size}")
        self.check_ranks(self.devices)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", self.device):
            raise UserError(f"trainer.device: '{self.device}' is none of auto, cpu, cuda, cuda:N, mps")

    def check_ranks(self, size: int) -> None:
        """Refuse a number of ranks that does not divide the batch evenly or does not fit the device.

        Raises:
            UserError: `size` does not fit.
        """
        if self.batch_size % (size * self.accumulate):
            parts = f"{size} devices" + (f" x {self.accumulate} accumulated parts" if self.accumulate > 1 else "")
            raise UserError(f"trainer.batch_size: {self.batch_size} cannot be split evenly over {parts}")
        if size > 1 and self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"trainer.device: '{self.device}' is a single device; for several use auto, cpu or cuda")


INTERVALS = ("log_every", "sample_every", "evaluate_every", "checkpoint_every", "histogram_every")
