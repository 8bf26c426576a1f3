"""One column after the other: the distribution of each given those that came before, in any order.

    p(x) = Π_i p(x_σ(i) | x_σ(1), ..., x_σ(i-1))                   σ an order of the D columns
    L    = E_σ E_i  D / (D - i + 1) Σ_{k not before i} -log p(x_σ(k) | x_σ(<i))       i uniform in 1..D       (eq. 4)

One net sees the known columns and predicts all others, so a single pass trains D - i + 1 conditionals at once, and L
bounds -E_σ log p. As it learns every order, any columns can be given: what is missing in a row is drawn from its
conditional distribution, and a class is a column like the others.

E. Hoogeboom et al., "Autoregressive Diffusion Models", 2022, https://arxiv.org/abs/2110.02037.
B. Uria, I. Murray, H. Larochelle, "A Deep and Tractable Density Estimator", 2014, https://arxiv.org/abs/1310.1757 (the
order-agnostic objective).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.data.columns.numeric import Numeric
from genlab.errors import UserError, choose, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.tokens import Tokens
from genlab.networks.token_mlp import TokenMLP

ORDERS = ("random", "label", "table")


class TableAutoregressive(Family):
    """Columns of a table drawn one after the other, in any order (Hoogeboom et al. 2022).

    Args:
        bins, order, numbers, noise, embedding, temperature, hidden, blocks, dropout: see `Autoregressive`.

    Raises:
        UserError: an option is out of its range, or does not fit the data.
    """

    fixed: Tensor
    takes_given = True
    completes_any = True

    def __init__(
        self,
        spec: Spec,
        bins: int,
        order: str,
        numbers: bool,
        noise: float,
        embedding: int,
        temperature: float,
        hidden: int,
        blocks: int,
        dropout: float,
    ) -> None:
        super().__init__(spec)
        assert spec.table is not None
        if any(isinstance(column, Numeric) and column.code.name == "modes" for column in spec.table.columns):
            raise UserError(
                "model: autoregressive cuts numbers into bins itself and takes no data.numeric=modes; leave it at "
                "auto, or take model=ctgan, vae or ddpm"
            )
        within("bins", bins, 2)
        choose("order", order, ORDERS)
        within("temperature", temperature, above=0)
        within("noise", noise, 0)
        within("dropout", dropout, 0, below=1)
        self.order, self.temperature, self.numbers, self.noise = order, temperature, numbers, noise
        # The fields that are never drawn or predicted.
        given = [flags[0] for _, flags in spec.cut(spec.given)] if spec.given else [False] * len(spec.fields)
        self.register_buffer("fixed", torch.tensor(given), persistent=False)
        self.learnt = given.count(False)
        self.tokens = Tokens(spec.table, bins)
        seen = len(self.tokens.numbers) if numbers else 0
        self.net = TokenMLP(self.tokens.sizes, hidden, blocks, embedding, dropout, seen)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.net,), self.loss),)

    @property
    def columns(self) -> int:
        """D, the number of fields."""
        return len(self.tokens.sizes)

    def loss(self, batch: Batch) -> LossOutput:
        tokens = self.tokens.of(batch["x"])
        if self.given:
            self.given.remember(batch["x"])
        before = torch.randint(self.learnt, (len(tokens),), device=tokens.device)  # i - 1
        # The place of each column in σ; given ones come after all others, and are known nonetheless.
        place = (torch.rand(tokens.shape, device=tokens.device) + self.fixed.float()).argsort(1).argsort(1)
        known = (place < before[:, None]) | self.fixed
        if not (self.noise and self.training):
            return LossOutput(self.bound(batch["x"], tokens, known).mean())
        x = self.tokens.moved(batch["x"], self.noise * torch.randn_like(batch["x"]))
        return LossOutput(self.bound(x, tokens, known, self.tokens.of(x)).mean())

    def scores(self, x: Tensor, known: Tensor) -> Tensor | None:
        """What the net sees of numbers besides their tokens: (B, D), (B, F) bool -> (B, numbers)."""
        return self.tokens.scores(x, known) if self.numbers else None

    def bound(self, x: Tensor, tokens: Tensor, known: Tensor, seen: Tensor | None = None) -> Tensor:
        """The terms of L for known columns, in nats of the tokens: (B, D), (B, F) int64, (B, F) bool -> (B,).

        Args:
            seen: (B, F) tokens that the net sees; None: those that it predicts.
        """
        logits = self.net(tokens if seen is None else seen, known, self.scores(x, known))
        losses = [
            F.cross_entropy(logit, k, reduction="none") for logit, k in zip(logits, tokens.unbind(1), strict=True)
        ]
        hidden = (~known).float()
        return self.learnt / hidden.sum(1) * (torch.stack(losses, dim=1) * hidden).sum(1)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n rows (n, D), column by column."""
        x = torch.zeros(n, *self.spec.shape, device=self.device)
        if self.given:
            x = self.given.alone(self.given.draw(n))
        return self._drawn(x, self.fixed.repeat(n, 1))

    @torch.no_grad()
    def complete(self, x: Tensor, known: Tensor) -> Tensor:
        """Draws what is not known of rows, given the rest: (B, D), (B, D) bool -> (B, D)."""
        starts = [self.tokens.channels(place).start for place in range(self.columns)]
        return self._drawn(x, known[:, starts])

    def _drawn(self, x: Tensor, known: Tensor) -> Tensor:
        """Draws the fields of rows that are not known: (B, D), (B, F) bool -> (B, D)."""
        x, known, tokens = x.clone(), known.clone(), self.tokens.of(x)
        for column in self.turns(known)[:, : int((~known).sum(1).max())].unbind(1):
            features = self.net.features(tokens, known, self.scores(x, known))
            column = torch.where(known.gather(1, column[:, None])[:, 0], -1, column)  # a row that is complete already
            for place in column.unique().tolist():
                if place >= 0:
                    rows = (column == place).nonzero()[:, 0]
                    logits = self.net.logits(place, features[rows]) / self.temperature
                    tokens[rows, place] = logits.softmax(1).multinomial(1)[:, 0]
                    x[rows, self.tokens.channels(place)] = self.tokens.draw(place, tokens[rows, place])
                    known[rows, place] = True
        return x

    def turns(self, known: Tensor) -> Tensor:
        """The order in which the fields of each row are drawn, known ones last: (B, F) bool -> (B, F) int64."""
        turn = torch.arange(self.columns, device=known.device).expand(known.shape) / self.columns
        if self.order != "table":
            turn = torch.rand_like(turn)
        if self.order == "label":
            turn[:, self.tokens.label] += 1
        return turn.masked_fill(known, 3.0).argsort(dim=1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of rows in nats, in the table's order of columns: (B, D) -> (B,).

        Words count their probability, numbers the density of their normal scores; given columns do not count.
        """
        tokens = self.tokens.of(x)
        known = self.fixed.repeat(len(x), 1)
        total = self.tokens.log_density(x, tokens, self.fixed.tolist())
        for place in (~self.fixed).nonzero()[:, 0].tolist():
            logits = self.net.logits(place, self.net.features(tokens, known, self.scores(x, known)))
            total = total - F.cross_entropy(logits, tokens[:, place], reduction="none")
            known[:, place] = True
        return total
