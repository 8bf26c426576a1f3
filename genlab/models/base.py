"""The contract of a model family: a set of losses, not a loop.

A family says which parameters each loss moves, and how often; the trainer does all updating: accumulation, bf16,
clipping, EMA and resume are written once, for all families. (Phases as data are an idea of StyleGAN3's training loop,
Karras et al., 2021, https://arxiv.org/abs/2106.12423.)
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genlab.data.base import Batch, Range, Spec
from genlab.models.head import Head
from genlab.models.labels import ClassPrior
from genlab.networks.activation import differentiated_twice

Moments = list[list[Tensor]]  # of an optimizer: for each kind (mean, square, ...) one tensor a parameter


class Rule(Protocol):
    """The next steps of an optimizer as a differentiable function; the optimizer and the weights stay as they are."""

    def start(self) -> Moments:
        """The optimizer's moments as they are now."""
        ...

    def __call__(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], moments: Moments, number: int
    ) -> tuple[list[Tensor], Moments]:
        """Weights and moments after step `number` (from 1) of those that are imagined."""
        ...


class LossOutput(NamedTuple):
    """What a loss returns."""

    loss: Tensor  # () mean over the batch
    logs: dict[str, Tensor] = {}  # scalars, still on the device; the trainer detaches them
    carry: Batch = {}  # handed to the later phases of this step, detached as well


Out = LossOutput  # its name in families that were written for earlier versions


class Phase(NamedTuple):
    """One kind of update: a loss and the modules that it moves."""

    name: str  # names its optimizer in the config, and its logs
    modules: tuple[nn.Module, ...]  # updated here; everything else is frozen
    loss: Callable[[Batch], LossOutput]  # static shapes, no host sync; draws from torch's global generator
    repeats: int = 1  # updates a step, each with a fresh batch (n_critic)
    every: int = 1  # only at every so many steps
    after: Callable[[], None] | None = None  # e.g. weight clipping


class Family(nn.Module):
    """Base of all models. Whatever must survive a resume and is no parameter lives in buffers.

    Subclasses take the data's `Spec` first, then only options with defaults: `VAE(data.spec)` works.
    """

    prefers: ClassVar[Range] = "symmetric"  # the range that image data comes in unless the user says otherwise
    conditional: bool = False  # whether `sample` draws from the classes that it is given
    domains: ClassVar[int] = 1  # 2: batches hold "a" and "b" (genlab.data.pairs)
    foresees: tuple[str, ...] = ()  # phases whose optimizers a loss looks ahead with; the trainer sets `rules`

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.head = Head(spec)
        self.class_prior: ClassPrior | None = None  # of a conditional family
        self.rules: Mapping[str, Rule] = {}

    def phases(self) -> tuple[Phase, ...]:
        """The updates of one training step, in order."""
        raise NotImplementedError

    def initialise(self, batch: Batch) -> None:
        """Take what depends on the data from one large batch, before the first step; most families take nothing."""

    def draw_labels(self, n: int) -> Tensor | None:
        """n classes in the shares of the training data, (n,); None where the family is not conditional."""
        return self.class_prior.draw(n) if self.class_prior else None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def squash(self, raw: Tensor) -> Tensor:
        """`head.mean`, by its name in families that were written for earlier versions."""
        return self.head.mean(raw)


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Context in which autocast is off: penalties, KL and log-determinants stay fp32 under bf16."""
    on = torch.is_autocast_enabled(x.device.type)
    return torch.autocast(x.device.type, enabled=False) if on else nullcontext()


def input_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇_x of function(x), (B, *shape) -> (B, ...), for each sample alone; differentiable again: (B, *shape).

    `torch.func.grad` is what compiles; outside of a compiled graph autograd costs less.
    """
    if torch.compiler.is_compiling():
        return torch.func.grad(lambda points: function(points).sum())(x)
    with torch.enable_grad(), differentiated_twice():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]


# Abilities: what commands, measures and pictures ask a family for. Values are in the model's range.


@runtime_checkable
class Sampler(Protocol):
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw (n, *shape) new samples, of the classes `y` (n,) where the family is conditional.

        Without `y`, classes are drawn in the shares of the training data.
        """
        ...


@runtime_checkable
class Reconstructor(Protocol):
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode: (B, *shape) -> (B, *shape)."""
        ...


@runtime_checkable
class Codec(Protocol):
    def encode(self, x: Tensor) -> Tensor:
        """The code of x: (B, *shape) -> (B, z_dim)."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """What a code stands for: (B, z_dim) -> (B, *shape)."""
        ...


@runtime_checkable
class Translator(Protocol):
    def translate(self, x: Tensor, to: str = "b") -> Tensor:
        """Carry samples of one domain over to the domain `to`, "a" or "b": (B, *shape) -> (B, *shape)."""
        ...


def round_trip(family: Translator, a: Tensor, chunk: int = 500) -> tuple[Tensor, Tensor]:
    """G(a) in the domain b and F(G(a)) back in a, `chunk` samples at a time to bound the memory: 2 x (B, *shape)."""
    there = torch.cat([family.translate(part, "b") for part in a.split(chunk)])
    return there, torch.cat([family.translate(part, "a") for part in there.split(chunk)])


@runtime_checkable
class Scorer(Protocol):
    def score(self, x: Tensor) -> Tensor:
        """How real the family finds x, in its own scale: (B, *shape) -> (B,). Drawn as contours over 2-D data."""
        ...


@runtime_checkable
class Bounded(Protocol):
    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """A lower bound of log p(x) in nats from k samples: (B, *shape) -> (B,)."""
        ...


@runtime_checkable
class Density(Protocol):
    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log-density in nats: (B, *shape) -> (B,)."""
        ...


@runtime_checkable
class Discrete(Protocol):
    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """A bound of -log2 P(x) / D for 8-bit images, from k samples: (B, *shape) -> (B,)."""
        ...


@runtime_checkable
class Measured(Protocol):
    def measures(self, n: int) -> dict[str, float]:
        """What a family that does not learn from the data measures of itself, from n samples, by name."""
        ...
