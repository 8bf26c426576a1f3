"""α-precision and β-recall: does a model draw typical rows, and does it draw all kinds of them?

With balls around the centre of the real rows that hold the share α of them, P_α is the share of samples in the ball;
with balls around the centre of the samples that hold the share β of those nearest to real rows, R_β is the share of
real rows whose nearest sample is in the ball and no farther than their nearest real neighbour. A perfect model has
P_α = α, and the measures are 1 - 2 ∫ |P_α - α| dα and 1 - 2 ∫ |R_β - β| dβ: 1 at best, 0 at worst.

A. Alaa, B. van Breugel, E. Saveliev, M. van der Schaar, "How Faithful is your Synthetic Data? Sample-level Metrics for
Evaluating and Auditing Generative Models", 2022, https://arxiv.org/abs/2102.08921 (section 4; here without their
one-class embedding, in normal scores of the columns).
"""

import torch
from torch import Tensor

from genlab.metrics.neighbours import CHUNK, squared_distances, squared_radii

LEVELS = 30  # values of α and β in [0, 1]


def support_measures(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Both measures of fake (N, D) against real (M, D).

    Raises:
        ValueError: a side has fewer than two rows.
    """
    if min(len(fake), len(real)) < 2:
        raise ValueError("needs two rows at least on each side")
    levels = torch.linspace(0, 1, LEVELS, dtype=torch.float64, device=real.device)
    centre = real.mean(0)
    fake, real = fake - centre, real - centre
    radii = real.norm(dim=1).double().quantile(levels)
    precision = torch.stack([(fake.norm(dim=1) <= radius).double().mean() for radius in radii])

    near = [squared_distances(part, fake).min(1) for part in real.split(CHUNK)]
    to_fake, nearest = torch.cat([m.values for m in near]), torch.cat([m.indices for m in near])
    covered = to_fake <= squared_radii(real, (1,))[0]
    from_centre = (fake[nearest] - fake.mean(0)).norm(dim=1).double()
    bounds = from_centre.quantile(levels)
    recall = torch.stack([(covered & (from_centre <= bound)).double().mean() for bound in bounds])
    return {"alpha_precision": _agreement(precision, levels), "beta_recall": _agreement(recall, levels)}


def _agreement(curve: Tensor, levels: Tensor) -> float:
    return 1 - 2 * torch.trapezoid((curve - levels).abs(), levels).item()
