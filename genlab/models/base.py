"""The contract of a model family, which is a set of losses, not a training loop.

A family says which parameters each loss updates, and how often. The trainer does all the updating, so accumulation,
bf16, clipping, EMA and resuming are written once for all families. (Describing phases as data is an idea of StyleGAN3's
training loop, Karras et al., 2021, https://arxiv.org/abs/2106.12423.)
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from genlab.data.base import Batch, Range, Spec
from genlab.errors import UserError
from genlab.models.given import Given
from genlab.models.head import Head
from genlab.models.labels import ClassPrior
from genlab.networks.activation import differentiated_twice

Moments = list[list[Tensor]]  # of an optimizer: for each kind (mean, square, ...) one tensor per parameter


class Rule(Protocol):
    """Simulated optimizer steps as a differentiable function; the optimizer and the weights do not change."""

    def start(self) -> Moments:
        """Returns the optimizer's current moments."""
        ...

    def __call__(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], moments: Moments, number: int
    ) -> tuple[list[Tensor], Moments]:
        """Returns the weights and moments after simulated step `number`, counted from 1."""
        ...


class LossOutput(NamedTuple):
    """The return value of a loss."""

    loss: Tensor  # (), mean over the batch
    logs: dict[str, Tensor] = {}  # scalars, still on the device; the trainer detaches them
    carry: Batch = {}  # passed to the later phases of this step, detached as well


Out = LossOutput  # the old name, for families written for earlier versions


class Phase(NamedTuple):
    """One kind of update: a loss and the modules that it trains."""

    name: str  # the name of its optimizer in the config and of its logs
    modules: tuple[nn.Module, ...]  # updated by this phase; everything else is frozen
    loss: Callable[[Batch], LossOutput]  # static shapes, no host sync; draws from torch's global generator
    repeats: int = 1  # updates per step, each with a fresh batch (n_critic)
    every: int = 1  # the phase runs at every step that this number divides
    after: Callable[[], None] | None = None  # e.g. weight clipping
    start: int = 0  # the first step that runs the phase, for training in stages
    stop: int | None = None  # the first step that no longer runs it; None: it runs to the end

    def runs_at(self, step: int) -> bool:
        """Returns whether training step `step`, counted from 0, runs the phase."""
        return step % self.every == 0 and self.start <= step and (self.stop is None or step < self.stop)

    def updates(self, steps: int) -> float:
        """Returns about how often the phase is updated in a run of so many steps."""
        stop = steps if self.stop is None else min(self.stop, steps)
        return self.repeats / self.every * max(0, stop - self.start)


class Family(nn.Module):
    """Base class of all models. State that must survive a resume and is not a parameter belongs in buffers.

    Subclasses take the data's `Spec` first, then only options with defaults: `VAE(data.spec)` works.
    """

    prefers: ClassVar[Range] = "symmetric"  # the range of image data unless the user chooses another
    conditional: bool = False  # whether `sample` draws from the classes it is given
    takes_given: ClassVar[bool] = False  # whether it can be given columns instead of learning them (data.condition)
    takes_graphs: ClassVar[bool] = False  # whether it takes graphs, although no columns can be given to it
    completes_any: ClassVar[bool] = False  # whether `complete` takes any known values, not the given columns only
    completes_inside: ClassVar[bool] = True  # whether the unknown ones may lie before known ones
    inpaints: ClassVar[bool] = False  # whether `complete` is approximate and slow, but for given columns
    domains: ClassVar[int] = 1  # 2: batches hold "a" and "b" (genlab.data.pairs)
    foresees: tuple[str, ...] = ()  # phases whose optimizer steps a loss simulates; the trainer fills `rules`

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        if spec.given and not (self.takes_given or (spec.nodes and self.takes_graphs)):
            if not spec.table:
                kind = "graphs" if spec.nodes else "series of several lengths"
                raise UserError(f"model: a {type(self).__name__} does not take {kind}; use ddpm, flow_matching or vae")
            raise UserError(
                f"data.condition: {type(self).__name__} learns all columns; use autoregressive, ddpm, flow, "
                f"flow_matching, gan, score, vae, wgan or wgan_gp"
            )
        self.given = Given(spec) if spec.given else None
        self.head = Head(spec)
        self.class_prior: ClassPrior | None = None  # set by conditional families
        self.rules: Mapping[str, Rule] = {}

    def phases(self) -> tuple[Phase, ...]:
        """Returns the updates of one training step, in order."""
        raise NotImplementedError

    def initialise(self, batch: Batch) -> None:
        """Sets what depends on the data from one large batch, before the first step; by default, nothing."""

    def complete(self, x: Tensor, known: Tensor) -> Tensor:
        """Draws what is unknown of samples, given the rest: (B, *shape), (B, *shape) bool -> (B, *shape).

        Raises:
            UserError: these values cannot be given to this family.
        """
        if self.given is None or not self.given.are(known):
            what = "exactly the columns of data.condition" if self.given else "no values unless data.condition is set"
            raise UserError(f"a {type(self).__name__} can be given {what}; autoregressive and ddpm take any")
        return cast(Any, self).sample(len(x), given=self.given.split(x)[1])

    def given_in(self, batch: Batch) -> Tensor | None:
        """Returns the given channels of a batch, (B, K, ...); None if there are none."""
        return self.given.split(batch["x"])[1] if self.given else None

    def decoded(self, z: Tensor, given: Tensor | None, net: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns net(z), or net(z, c) joined with the given channels c: (B, D) -> (B, *shape).

        Args:
            given: (B, K, ...) c; None: those of training samples.
        """
        if self.given is None:
            return net(z)
        given = (self.given.draw(len(z)) if given is None else given).to(z)
        return self.present(self.given.join(net(torch.cat([z, given.flatten(1)], dim=1)), given))

    def present(self, x: Tensor) -> Tensor:
        """Sets steps and nodes that are not there to 0: (B, *shape) -> (B, *shape)."""
        here = self.spec.presence(x)
        return x if here is None else x * here

    def mean_error(self, error: Tensor, x: Tensor) -> Tensor:
        """Averages errors over what is learnt and there: (B, *shape), samples x (B, *shape) -> (B,)."""
        if self.given is None:
            return error.flatten(1).mean(1)
        error, here = self.given.split(error)[0], self.spec.presence(x)
        if here is None:
            return error.flatten(1).mean(1)
        here = self.given.split(here)[0]
        return (error * here).flatten(1).sum(1) / here.flatten(1).sum(1).clamp(min=1)

    def draw_labels(self, n: int) -> Tensor | None:
        """Draws n classes at their frequencies in the training data, (n,); None if the family is not conditional."""
        return self.class_prior.draw(n) if self.class_prior else None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def squash(self, raw: Tensor) -> Tensor:
        """Calls `head.mean`; the old name, for families written for earlier versions."""
        return self.head.mean(raw)


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Returns a context with autocast off, in which penalties, KL and log-determinants stay fp32 under bf16."""
    on = torch.is_autocast_enabled(x.device.type)
    return torch.autocast(x.device.type, enabled=False) if on else nullcontext()


def input_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Computes ∇_x function(x) per sample, differentiable again: (B, *shape), for a function (B, *shape) -> (B, ...).

    Only `torch.func.grad` can be compiled; outside a compiled graph `torch.autograd.grad` is cheaper.
    """
    if torch.compiler.is_compiling():
        return torch.func.grad(lambda points: function(points).sum())(x)
    with torch.enable_grad(), differentiated_twice():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]


# Abilities: the methods that commands, measures and plots look for. Values are in the model's range.


@runtime_checkable
class Sampler(Protocol):
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws new samples (n, *shape), of the classes `y` (n,) if the family is conditional.

        Without `y`, classes are drawn at their frequencies in the training data.
        """
        ...


@runtime_checkable
class Reconstructor(Protocol):
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encodes and decodes x: (B, *shape) -> (B, *shape)."""
        ...


@runtime_checkable
class Codec(Protocol):
    def encode(self, x: Tensor) -> Tensor:
        """Returns the code of x: (B, *shape) -> (B, z_dim)."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Decodes a code: (B, z_dim) -> (B, *shape)."""
        ...


@runtime_checkable
class Translator(Protocol):
    def translate(self, x: Tensor, to: str = "b") -> Tensor:
        """Translates samples of the other domain to the domain `to`, "a" or "b": (B, *shape) -> (B, *shape)."""
        ...


def round_trip(family: Translator, a: Tensor, chunk: int = 500) -> tuple[Tensor, Tensor]:
    """Returns G(a) in domain b and F(G(a)) back in a; `chunk` samples at a time bound the memory: 2 x (B, *shape)."""
    translated = torch.cat([family.translate(part, "b") for part in a.split(chunk)])
    return translated, torch.cat([family.translate(part, "a") for part in translated.split(chunk)])


@runtime_checkable
class Scorer(Protocol):
    def score(self, x: Tensor) -> Tensor:
        """Returns how real x looks to the family, on its own scale: (B, *shape) -> (B,). Plotted as contours in 2-D."""
        ...


@runtime_checkable
class Bounded(Protocol):
    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates a lower bound of log p(x) in nats from k samples: (B, *shape) -> (B,)."""
        ...


@runtime_checkable
class Density(Protocol):
    def log_prob(self, x: Tensor) -> Tensor:
        """Returns the exact log-density in nats: (B, *shape) -> (B,)."""
        ...


@runtime_checkable
class Discrete(Protocol):
    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates an upper bound of -log2 P(x) / D for 8-bit images from k samples: (B, *shape) -> (B,)."""
        ...


@runtime_checkable
class Measured(Protocol):
    def measures(self, n: int) -> dict[str, float]:
        """Computes measures, by name, of a family that does not learn from the data, from n samples."""
        ...
