"""One number after the other, in the order of the data: exact likelihoods of images, series, graphs and points.

    log p(x) = Σ_i log p(x_i | x_1, ..., x_(i-1))

The order is fixed: rows of an image from the top and pixels from the left, steps of a series, nodes of a graph with
their edges to earlier nodes. So the beginning of a sample can be given, and the rest is drawn from its exact
conditional distribution. Of graphs, the likelihood is that of the order in which their nodes are numbered
(data.order=bfs numbers them as J. You et al., "GraphRNN", 2018, https://arxiv.org/abs/1802.08773), given how many there
are; that of the graph itself is the sum over all orders.

B. Uria et al., "Neural Autoregressive Distribution Estimation", 2016, https://arxiv.org/abs/1605.02226.
"""

import math
from itertools import accumulate

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import UserError, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.blocks import Blocks
from genlab.models.labels import ClassPrior, check_classes
from genlab.networks.blockwise import BlockwiseNet


class CausalAutoregressive(Family):
    """Numbers drawn in the order of the data, by a causal Transformer over blocks and a masked MLP within a block.

    Args:
        temperature, hidden, blocks, dropout, width, layers, heads, mixtures, conditional: see `Autoregressive`.

    Raises:
        UserError: an option is out of its range, or does not fit the data.
    """

    takes_given = True
    completes_any = True
    completes_inside = False

    def __init__(
        self,
        spec: Spec,
        temperature: float,
        hidden: int,
        blocks: int,
        dropout: float,
        width: int,
        layers: int,
        heads: int,
        mixtures: int,
        conditional: bool,
    ) -> None:
        super().__init__(spec)
        for name, value in (("hidden", hidden), ("width", width), ("heads", heads), ("mixtures", mixtures)):
            within(name, value, 1)
        within("blocks", blocks, 0)
        within("layers", layers, 0)
        within("temperature", temperature, above=0)
        within("dropout", dropout, 0, below=1)
        if conditional:
            check_classes(spec)
        self.conditional, self.temperature = conditional, temperature
        self.class_prior = ClassPrior(spec) if conditional else None
        self.cut = Blocks(spec.learnt, mixtures)
        inputs = [slots.size for slots in self.cut.slots for _ in range(slots.count)]
        self.outputs = [slots.outputs for slots in self.cut.slots for _ in range(slots.count)]
        self.net = BlockwiseNet(
            *(inputs, self.outputs, self.cut.count, spec.context, spec.classes if conditional else 0),
            *(width, layers, heads, hidden, blocks, dropout),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.net,), self.loss),)

    def loss(self, batch: Batch) -> LossOutput:
        """Computes -log p(x) in nats, and in bits per dimension for images."""
        if self.given:
            self.given.remember(batch["x"])
        nats = -self.nats(batch["x"], batch.get("y") if self.conditional else None).mean()
        name, value = ("bits_per_dim", self.to_bits(nats)) if self.spec.only("pixel") else ("nll", nats)
        return LossOutput(nats, {name: value})

    def nats(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Computes log p(x | given channels, class): (B, *shape), (B,) -> (B,) fp32."""
        here = self.spec.presence(x)
        given = None
        if self.given:
            x, given = self.given.split(x)
            here = None if here is None else self.given.split(here)[0]
        blocks = self.cut.of(x)
        raw = self.net(blocks, given, y)
        parts, number, start = [], 0, 0
        for slots in self.cut.slots:
            values = blocks[..., number : number + slots.count * slots.size].unflatten(2, (slots.count, slots.size))
            own = raw[..., start : start + slots.count * slots.outputs].unflatten(2, (slots.count, slots.outputs))
            parts.append(slots.log_prob(own, values))
            number, start = number + slots.count * slots.size, start + slots.count * slots.outputs
        found, mask = torch.cat(parts, dim=2), self.cut.learnt(here)
        return (found if mask is None else found * mask).flatten(1).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """The log-probability of pixels and words, and log-density of reals, in nats: (B, *shape) -> (B,).

        Given channels do not count. A conditional model averages over the classes.
        """
        if self.class_prior is None:
            return self.nats(x)
        each = [self.nats(x, torch.full((len(x),), k, device=x.device)) for k in range(self.spec.classes)]
        return (torch.stack(each) + self.class_prior.shares.log()[:, None]).logsumexp(0)

    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """Computes -log2 P(x) / D exactly: (B, *shape) -> (B,)."""
        return self.to_bits(-self.log_prob(x))

    def to_bits(self, nats: Tensor) -> Tensor:
        """Converts nats of a sample to bits per dimension."""
        return nats / (math.log(2) * math.prod(self.spec.shape))

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Draws n samples (n, *shape), of the classes y (n,) if conditional, with the given channels (n, K, ...)."""
        if self.given is None:
            x = torch.zeros(n, *self.spec.shape, device=self.device)
        else:
            x = self.given.alone(self.given.draw(n) if given is None else given)
        return self._continued(x, torch.zeros_like(x, dtype=torch.bool), y)

    @torch.no_grad()
    def complete(self, x: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """Draws the rest of samples whose first numbers are known: (B, *shape), (B, *shape) bool -> (B, *shape).

        Raises:
            UserError: a number is known after one that is not.
        """
        return self._continued(x, known.expand_as(x), y)

    def _continued(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        here, given = self.spec.presence(x), None
        y = self.draw_labels(len(x)) if y is None else y
        if self.given:
            (x, given), known = self.given.split(x), self.given.split(known)[0]
        blocks, seen = self.cut.of(x).clone(), self.cut.of(known.to(x)) > 0.5
        there = None if here is None or self.given is None else self.cut.of(self.given.split(here)[0])
        self._check_beginning(seen)
        ends = list(accumulate(self.outputs))
        told, cache = self.net.told(given, y), []
        for s in range(self.cut.count):
            context = self.net.context(s, blocks[:, s - 1] if s else None, len(x), told, cache)
            for place, number, slots in self.cut.places(s):
                raw = self.net.within(blocks[:, s], context)[:, ends[place] - self.outputs[place] : ends[place]]
                drawn = slots.draw(raw, self.temperature)
                own = slice(number, number + slots.size)
                blocks[:, s, own] = torch.where(seen[:, s, number, None], blocks[:, s, own], drawn)
            if there is not None:  # what is not there is 0 before the next block sees it
                blocks[:, s] *= there[:, s]
        made = self.cut.back(blocks)
        return made if self.given is None or given is None else self.present(self.given.join(made, given))

    def _check_beginning(self, seen: Tensor) -> None:
        """Checks that no known slot comes after an unknown one in the order of drawing: (B, S, I) bool.

        Raises:
            UserError: one does.
        """
        order = [s * self.cut.numbers + number for s in range(self.cut.count) for _, number, _ in self.cut.places(s)]
        known = seen.flatten(1)[:, order]
        if bool((known[:, 1:] & ~known[:, :-1]).any()):
            raise UserError("an autoregressive model can be given the beginning of a sample, and no later part")
