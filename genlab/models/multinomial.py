"""Multinomial diffusion: noise that replaces categories by draws from a fixed distribution m, uniform or of the data.

    q(x_t|x_0)     = Cat(ᾱ_t x_0 + (1-ᾱ_t) m)                                                            `blurred`
    q(x_t|x_s)     = α [x_t = x_s] + (1-α) m(x_t),   α = ᾱ_t/ᾱ_s,  s < t                                 `reached`
    q(x_s|x_t,x_0) ∝ q(x_t|x_s) q(x_s|x_0)                                                               `backward`
    p(x_s|x_t)     = Σ_{x_0} q(x_s|x_t,x_0) p(x_0|x_t)                                                   `mixed`

Categories are one-hot along axis 1: (B, K), or (B, K, places).

E. Hoogeboom, D. Nielsen, P. Jaini, P. Forré, M. Welling, "Argmax Flows and Multinomial Diffusion: Learning Categorical
Distributions", 2021, https://arxiv.org/abs/2102.05379, eq. 11 to 16 (m uniform).
J. Austin, D. Johnson, J. Ho, D. Tarlow, R. van den Berg, "Structured Denoising Diffusion Models in Discrete
State-Spaces", 2021, https://arxiv.org/abs/2107.03006 (any transition; eq. 4 is `mixed`).
"""

from torch import Tensor

from genlab.data.fields import one_hot

LEAST = 1e-30  # probability, so that its logarithm is finite


def draw(probabilities: Tensor, noise: Tensor) -> Tensor:
    """Draws categories, one-hot, by Gumbel noise: 2 x (B, K, ...) -> (B, K, ...)."""
    return one_hot(probabilities.clamp(min=LEAST).log() + noise)


def blurred(x: Tensor, bar: Tensor | float, shares: Tensor | None = None) -> Tensor:
    """Returns ᾱ x + (1-ᾱ) m, the distribution of a category after noise: (B, K, ...) -> (B, K, ...).

    Args:
        shares: m, which broadcasts against x; None: uniform.
    """
    return bar * x + ((1 - bar) / x.shape[1] if shares is None else (1 - bar) * shares)


def reached(x_t: Tensor, alpha: Tensor | float, shares: Tensor | None = None) -> Tensor:
    """Returns q(x_t|x_s = k) for each k: one-hot x_t (B, K, ...) -> (B, K, ...)."""
    if shares is None:
        return blurred(x_t, alpha)
    return alpha * x_t + (1 - alpha) * (x_t * shares).sum(1, keepdim=True)


def backward(
    x_t: Tensor, x: Tensor, bar_s: Tensor | float, bar_t: Tensor | float, shares: Tensor | None = None
) -> Tensor:
    """Returns q(x_s|x_t, x_0) for one-hot x_t and x_0, or a distribution of x_0: 2 x (B, K, ...) -> (B, K, ...)."""
    weights = reached(x_t, bar_t / bar_s, shares) * blurred(x, bar_s, shares)
    return weights / weights.sum(1, keepdim=True).clamp(min=LEAST)


def mixed(
    x_t: Tensor, guess: Tensor, bar_s: Tensor | float, bar_t: Tensor | float, shares: Tensor | None = None
) -> Tensor:
    """Returns p(x_s|x_t) for one-hot x_t and p(x_0|x_t): 2 x (B, K, ...) -> (B, K, ...).

    As q(x_s|x_t, x_0) has q(x_t|x_0) as its denominator, that is `backward` of p(x_0|x_t) / q(x_t|x_0), normalised.
    """
    weights = guess / reached(x_t, bar_t, shares).clamp(min=LEAST)
    return backward(x_t, weights / weights.sum(1, keepdim=True), bar_s, bar_t, shares)


def divergence(true: Tensor, guess: Tensor) -> Tensor:
    """Computes KL(true || guess) of categories, nats: 2 x (B, K, ...) -> (B, ...)."""
    return (true * (true.clamp(min=LEAST).log() - guess.clamp(min=LEAST).log())).sum(1)
