"""Two scores by recurrent nets: can they tell samples from real series, and do they learn the dynamics from samples?

    discriminative    |accuracy - ½| of a classifier of real against generated series, on a fifth of them that it was
                      not trained on: 0 if it cannot tell, ½ if it always can
    predictive        mean absolute error on real series of a net that was trained on samples to predict the next step
                      of every channel, in deviations of the channels. The floor is that of real training series

Both take the mean over nets that start from different seeds, and give the standard deviation between them. Each is one
layer of max(16, 2 C) gated recurrent units, trained until its loss on held-out series stops falling. A classifier reads
the levels and the increments of the channels, each standardised: from levels alone it misses noise of a hundredth of a
deviation on a price, which increments give away at once. Both are stronger than the papers' judges (see `timegan.py`),
which have C / 2 units.

J. Yoon, D. Jarrett, M. van der Schaar, "Time-series Generative Adversarial Networks", 2019,
https://papers.nips.cc/paper/8789-time-series-generative-adversarial-networks.
"""

import statistics

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, pad

from genlab.data.base import mix
from genlab.metrics.series.recurrent import Recurrent, batch, fit, read

JUDGES, PREDICTORS = 5, 3  # nets of each kind
STEPS = 1000  # of training at most
RATE = 5e-3
MOST = 5000  # series of each side
FEWEST = 20
LONGEST = 96  # steps that a net reads: of longer series, a piece that starts at random
BOUND = 100.0  # deviations: values beyond it would make a net diverge


def discriminative_score(fake: Tensor, real: Tensor, judges: int = JUDGES, steps: int = STEPS) -> dict[str, float]:
    """The score of fake (N, C, T) against real (M, C, T), standardised; as many of each, MOST at most.

    Raises:
        ValueError: there are fewer than FEWEST of a side, or a net diverged.
    """
    n = min(len(fake), len(real), MOST)
    if n < FEWEST:
        raise ValueError(f"needs {FEWEST} series at least on each side; there are {len(fake)} and {len(real)}")
    fake, real = _steps_first(fake[:n], 1), _steps_first(real[:n], 2)
    fake, real = with_increments(fake, real), with_increments(real, real)
    return summary("discriminative_score", [_judge(real, fake, seed, steps) for seed in range(judges)])


def with_increments(x: Tensor, real: Tensor) -> Tensor:
    """Appends the standardised increments to series (N, T, C): (N, T, 2 C); 0 at the first step."""
    deviation = real.diff(dim=1).std((0, 1), correction=0)
    increments = x.diff(dim=1) / torch.where(deviation > 0, deviation, 1.0)
    return torch.cat([x, pad(increments, (0, 0, 1, 0)).clamp(-BOUND, BOUND)], dim=2)


def _judge(real: Tensor, fake: Tensor, seed: int, steps: int) -> float:
    """|accuracy - ½| of one classifier of real (N, T, 2 C) against fake (N, T, 2 C), levels and increments."""
    g = torch.Generator().manual_seed(mix(seed))
    n, inputs = len(real), real.shape[2]
    net = Recurrent(inputs, units(inputs // 2), 1, g, real.device)
    tested, apart = n // 5, n // 10
    test, held, train = [], [], []
    for side in (real, fake):
        order = torch.randperm(n, generator=g).to(side.device)
        for part, rows in zip((test, held, train), order.split([tested, apart, n - tested - apart]), strict=True):
            part.append(side[rows])

    def cross_entropy(a: Tensor, b: Tensor) -> Tensor:
        logits = net.last(torch.cat([a, b]))[:, 0]
        return binary_cross_entropy_with_logits(logits, truth(len(a), len(b), logits))

    def held_out() -> float:
        with torch.no_grad():
            return cross_entropy(*held).item()

    fit(net, lambda: cross_entropy(batch(train[0], g), batch(train[1], g)), steps, RATE, held_out)
    return error(read(net.last, test[0]), read(net.last, test[1]))


def error(real: Tensor, fake: Tensor) -> float:
    """|accuracy - ½| of logits of real (N, 1) and fake (M, 1) series, which are positive for real ones."""
    right = torch.cat([real > 0, fake <= 0]).double()
    return abs(right.mean().item() - 0.5)


def truth(real: int, fake: int, like: Tensor) -> Tensor:
    """1 for each real series, then 0 for each fake one: (real + fake,)."""
    return torch.cat([like.new_ones(real), like.new_zeros(fake)])


def predictive_score(fake: Tensor, real: Tensor, nets: int = PREDICTORS, steps: int = STEPS) -> dict[str, float]:
    """The score of fake (N, C, T), tested on real (M, C, T), standardised; MOST of each at most.

    Raises:
        ValueError: there are fewer than FEWEST fake series or fewer than two steps, or a net diverged.
    """
    if len(fake) < FEWEST:
        raise ValueError(f"needs {FEWEST} samples at least; there are {len(fake)}")
    if fake.shape[2] < 2:
        raise ValueError("needs windows of two steps at least")
    fake, real = _steps_first(fake[:MOST], 1), _steps_first(real[:MOST], 2)
    return summary("predictive_score", [_predictor(fake, real, seed, steps) for seed in range(nets)])


def _predictor(fake: Tensor, real: Tensor, seed: int, steps: int) -> float:
    """The mean absolute error on real (M, T, C) of one net trained on fake (N, T, C)."""
    g = torch.Generator().manual_seed(mix(seed))
    channels = fake.shape[2]
    net = Recurrent(channels, units(channels), channels, g, fake.device)
    order = torch.randperm(len(fake), generator=g).to(fake.device)
    held, train = fake[order[: len(fake) // 10]], fake[order[len(fake) // 10 :]]

    def miss(x: Tensor) -> Tensor:
        return l1_loss(net(x[:, :-1]), x[:, 1:])

    def held_out() -> float:
        with torch.no_grad():
            return miss(held).item()

    fit(net, lambda: miss(batch(train, g)), steps, RATE, held_out)
    return (read(net, real[:, :-1]) - real[:, 1:]).abs().double().mean().item()


def units(channels: int) -> int:
    """The number of recurrent units that judge so many channels."""
    return max(16, 2 * channels)


def _steps_first(x: Tensor, seed: int) -> Tensor:
    """Series (N, C, T) as a recurrent net reads them, within bounds and LONGEST at most: (N, T, C) float32."""
    n, _, steps = x.shape
    x = x.float().clamp(-BOUND, BOUND).transpose(1, 2)
    if steps > LONGEST:
        starts = torch.randint(steps - LONGEST + 1, (n, 1), generator=torch.Generator().manual_seed(mix(seed)))
        pieces = (starts + torch.arange(LONGEST)).to(x.device)
        x = x.gather(1, pieces[:, :, None].expand(-1, -1, x.shape[2]))
    return x.contiguous()


def summary(name: str, found: list[float]) -> dict[str, float]:
    """The mean and, as `NAME_error`, the standard deviation of several scores."""
    deviation = {f"{name}_error": statistics.stdev(found)} if len(found) > 1 else {}
    return {name: statistics.fmean(found)} | deviation
