"""The discriminative and the predictive score as papers report them, since TimeGAN.

Series are scaled to [0, 1] by the extremes of each channel, unless all their values are within it (as the papers' sines
are, which fill [½, 1]). Both nets have one layer of int(C / 2) gated recurrent units
and are trained with Adam at a rate of 1e-3 on batches of 128, the last weights being kept:

    discriminative    a classifier of real against generated series by its last state, 2,000 steps on 128 of each;
                      |accuracy - ½| on the fifth of both that it was not trained on
    predictive        reads the channels 1, ..., C - 1 up to step t and predicts channel C at t + 1, through a sigmoid:
                      5,000 steps on the absolute error of samples; the mean absolute error on all real series

Each is repeated with other weights and splits, and the mean and the standard deviation are given. The scores saturate:
a net of two or three units hardly sees what is wrong with good samples, and the predictive score cannot be lower than
that of the real series themselves. With one channel they are not defined: there are no units, and nothing to predict
from.

J. Yoon, D. Jarrett, M. van der Schaar, "Time-series Generative Adversarial Networks", 2019,
https://papers.nips.cc/paper/8789-time-series-generative-adversarial-networks (section 5 and its supplement).
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from genlab.data.base import mix
from genlab.data.spec import Spec
from genlab.errors import UserError
from genlab.metrics.series.recurrent import Recurrent, batch, fit, read
from genlab.metrics.series.scores import FEWEST, error, summary, truth

RATE = 1e-3
CLASSIFIED, PREDICTED = 2000, 5000  # steps of training


def check(spec: Spec) -> None:
    """Checks that the protocol applies to samples of this kind.

    Raises:
        UserError: they are no series, have a single channel, or channels that are not plain numbers.
    """
    if spec.layout != "sequence":
        raise UserError(f"protocol: timegan applies to series only; a sample has the shape {spec.shape}")
    columns = [column for column in spec.steps.columns if column.width] if spec.steps else []
    odd = [column.name for column in columns if hasattr(column, "labels") or column.missing is not None]
    if odd or any(field.kind == "category" for field in spec.fields):
        named = f" '{odd[0]}'" if odd else ""
        why = "needs channels of numbers without missing cells"
        raise UserError(f"protocol: timegan {why}; exclude the channel{named}")
    if (len(columns) or spec.shape[0]) < 2:
        why = "its nets have C / 2 units and read C - 1 channels"
        raise UserError(f"protocol: timegan needs two channels at least, because {why}; leave protocol out")


def unit_scale(train: Tensor, *others: Tensor) -> list[Tensor]:
    """Scales series (N, C, T) to [0, 1] by the extremes of each channel of the first: (N, T, C) float32 each.

    If the first are within [0, 1] already, none is scaled.
    """
    low, high = train.amin((0, 2))[:, None], train.amax((0, 2))[:, None]
    if low.min() >= 0 and high.max() <= 1:
        low, high = torch.zeros_like(low), torch.ones_like(high)
    return [((x - low) / (high - low).clamp(min=1e-7)).float().transpose(1, 2).contiguous() for x in (train, *others)]


def scores(fake: Tensor, real: Tensor, repeats: int = 10) -> dict[str, float]:
    """Both scores of fake (N, T, C) against real (M, T, C), in [0, 1], with their deviations over the repeats.

    Raises:
        ValueError: there are fewer than FEWEST of a side, or a net diverged.
    """
    if min(len(fake), len(real)) < FEWEST:
        raise ValueError(f"needs {FEWEST} series at least on each side; there are {len(fake)} and {len(real)}")
    told = [classified(fake, real, seed, CLASSIFIED) for seed in range(repeats)]
    missed = [predicted(fake, real, seed, PREDICTED) for seed in range(repeats)]
    return summary("timegan_discriminative", told) | summary("timegan_predictive", missed)


def classified(fake: Tensor, real: Tensor, seed: int, steps: int = CLASSIFIED) -> float:
    """|accuracy - ½| of one classifier of fake (N, T, C) against real (M, T, C)."""
    g = torch.Generator().manual_seed(mix(seed))
    n, channels = min(len(fake), len(real)), real.shape[2]
    net = Recurrent(channels, channels // 2, 1, g, real.device)
    train, test = [], []
    for side in (real, fake):
        order = torch.randperm(len(side), generator=g)[:n].to(side.device)
        train.append(side[order[: int(0.8 * n)]])
        test.append(side[order[int(0.8 * n) :]])

    def loss() -> Tensor:
        a, b = batch(train[0], g), batch(train[1], g)
        logits = net.last(torch.cat([a, b]))[:, 0]
        # The paper adds the losses of the two sides, which is twice their mean.
        return 2 * binary_cross_entropy_with_logits(logits, truth(len(a), len(b), logits))

    fit(net, loss, steps, RATE)
    return error(read(net.last, test[0]), read(net.last, test[1]))


def predicted(fake: Tensor, real: Tensor, seed: int, steps: int = PREDICTED) -> float:
    """The mean absolute error on real (M, T, C) of one net trained on fake (N, T, C)."""
    g = torch.Generator().manual_seed(mix(seed))
    channels = fake.shape[2]
    net = Recurrent(channels - 1, channels // 2, 1, g, fake.device)

    def next_of(x: Tensor) -> Tensor:
        return net(x[:, :-1, :-1]).sigmoid()

    def loss() -> Tensor:
        x = batch(fake, g)
        return l1_loss(next_of(x), x[:, 1:, -1:])

    fit(net, loss, steps, RATE)
    return (read(next_of, real) - real[:, 1:, -1:]).abs().double().mean().item()
