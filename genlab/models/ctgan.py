"""CTGAN: a Wasserstein GAN for tables, whose generator is told one word of a row and learns rare words as often.

    i uniform over the columns of words, k ~ log(1 + count) over the words of column i        training by sampling
    c = one-hot (i, k),   x ~ training rows with word k,   x' = G(z, c)
    critic     E f(x', c) - E f(x, c) + λ E (|∇f| - 1)²          f judges m rows at once (packing)
    generator  -E f(x', c) - E log softmax(G(z, c)_i)_k          so that the row has the word that was asked for

Without the logarithm a generator would hardly meet a word that one row in a thousand has. Here the rows x come from the
batch instead of the whole table: a word that no row of the batch has is left out of that step. Samples are drawn with
words at their frequencies in training.

L. Xu, M. Skoularidou, A. Cuesta-Infante, K. Veeramachaneni, "Modeling Tabular data using Conditional GAN", 2019,
https://arxiv.org/abs/1907.00503, sections 4.3 and 4.4.
"""

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.data.columns.category import Category
from genlab.errors import UserError, within
from genlab.models.base import LossOutput
from genlab.models.stabilizers import pack
from genlab.models.wgan import WGANGP, plain_encoder
from genlab.networks.choice import Decoder, Encoder, decoder

COUNTED = 50_000  # training rows after which words are no longer counted


class CTGAN(WGANGP):
    """WGAN-GP with a conditional vector, training by sampling and packing (Xu et al. 2019). Tables only.

    Args:
        packing: m, the number of rows that the critic judges at once; if it does not divide the batch size, the first
            rows fill up the last pack.
        z_dim, n_critic, gp_weight, gumbel, generator, critic: options of `WGANGP`.

    Raises:
        UserError: the data are no table, or an option is out of its range.
    """

    takes_given = False
    seen: Tensor
    channels: Tensor
    fields: Tensor

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 128,
        n_critic: int = 1,
        gp_weight: float = 10.0,
        gumbel: float = 0.2,
        packing: int = 10,
        generator: Decoder = decoder,
        critic: Encoder = plain_encoder,
    ) -> None:
        if spec.table is None:
            raise UserError("model: ctgan takes tables of typed columns only: data=table data.path=FILE")
        within("packing", packing, 1)
        channels, sizes, start = [], [], 0
        for column in spec.table.columns:
            if isinstance(column, Category):
                channels += range(start, start + column.width)
                sizes.append(column.width)
            start += column.width
        words = len(channels)
        super().__init__(
            spec,
            z_dim,
            n_critic,
            gp_weight,
            gumbel,
            generator=lambda inputs, shape: generator(inputs + words, shape),
            critic=lambda shape, outputs: critic((packing * (shape[0] + words),), outputs),
        )
        self.packing, self.words, self.sizes = packing, words, sizes
        self.columns = len(sizes)  # of words
        self.register_buffer("channels", torch.tensor(channels, dtype=torch.int64), persistent=False)
        owner = torch.arange(self.columns).repeat_interleave(torch.tensor(sizes, dtype=torch.int64))
        of_column = (owner == torch.arange(self.columns)[:, None]).float()
        self.register_buffer("fields", of_column, persistent=False)  # (columns, words), 1 where a word is of a column
        self.register_buffer("seen", torch.zeros(words))  # how many training rows had each word

    def critic_loss(self, batch: Batch) -> LossOutput:
        x = batch["x"]
        self.count(x)
        rows, c = self.choose(x)
        with torch.no_grad():
            fake = self.head.relaxed(self.raw(c), self.gumbel)
        real, fake = (pack(torch.cat([part, c], dim=1), self.packing, False) for part in (x[rows], fake))
        real_score, fake_score = self.critic(torch.cat([real, fake])).float().chunk(2)
        return self.penalised(real_score.mean() - fake_score.mean(), real, fake)

    def generator_loss(self, batch: Batch) -> LossOutput:
        _, c = self.choose(batch["x"])
        raw = self.raw(c)
        fake = self.head.relaxed(raw, self.gumbel)
        adversarial = -self.critic(pack(torch.cat([fake, c], dim=1), self.packing, False)).float().mean()
        missed = self.cross_entropy(raw, c)
        return LossOutput(adversarial + missed, {"adversarial": adversarial, "condition": missed})

    def raw(self, c: Tensor) -> Tensor:
        """Computes the generator's raw output for conditions and fresh z: (B, words) -> (B, D)."""
        return self.generator(torch.cat([torch.randn(len(c), self.z_dim, device=c.device), c], dim=1))

    def cross_entropy(self, raw: Tensor, c: Tensor) -> Tensor:
        """Computes E -log p of the words that were asked for, in nats: (B, D), (B, words) -> ()."""
        logits = raw.float().index_select(1, self.channels)
        if not self.words:
            return logits.sum()
        logs = torch.cat([part.log_softmax(1) for part in logits.split(self.sizes, dim=1)], dim=1)
        return -(c * logs).sum(1).mean()

    @torch.no_grad()
    def count(self, x: Tensor) -> None:
        """Counts the words of a training batch (B, D)."""
        if self.training and self.words:
            total = self.seen.sum() / self.columns
            self.seen.add_(x.index_select(1, self.channels).sum(0) * (total < COUNTED))

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Draws a word for each row and a row of the batch that has it: (B, D) -> (B,) places, (B, words) conditions.

        The column is uniform, and its word has probability ∝ log(1 + count) among those in the batch.
        """
        if not self.words:
            return torch.arange(len(x), device=x.device), x[:, :0]
        words = x.index_select(1, self.channels)
        weight = torch.log1p(self.seen.clamp(min=1)) / words.sum(0).clamp(min=1)
        column = torch.randint(self.columns, (len(x),), device=x.device)
        rows = (self.fields @ (words * weight).T)[column].multinomial(1)[:, 0]
        return rows, words[rows] * self.fields[column]

    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Draws G(z, c) for n fresh z and words c at their frequencies in training: (n, D)."""
        c = torch.zeros(n, self.words, device=self.device)
        if self.words:
            column = torch.randint(self.columns, (n,), device=self.device)
            word = (self.fields * (self.seen + 1e-6))[column].multinomial(1)
            c.scatter_(1, word, 1.0)
        return self.head.relaxed(self.raw(c), self.gumbel)

    def score(self, x: Tensor) -> Tensor:
        """Returns the critic's value of m copies of each row, each with another of its words: (B, D) -> (B,), fp32."""
        x = x.repeat_interleave(self.packing, dim=0)
        if not self.words:
            return self.critic(pack(x, self.packing)).float()
        column = torch.arange(len(x), device=x.device) % self.packing % self.columns
        c = x.index_select(1, self.channels) * self.fields[column]
        return self.critic(pack(torch.cat([x, c], dim=1), self.packing)).float()
