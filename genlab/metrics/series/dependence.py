"""How channels depend on one another and on their own past: correlations, autocorrelations, spectra.

With all windows n and steps t, x̄ the mean of a channel over both, and z = x - x̄:

    correlation        r_ij = Σ z_i z_j / √(Σ z_i² Σ z_j²), over n and t
    autocorrelation    ρ(k) = mean z_t z_{t+k} / mean z_t², over n and the steps that have a successor at lag k
    spectrum           S(f) = mean over n of |Σ_t z_t exp(-2πi f t)|² / T, the periodogram at f = 0, 1/T, ..., ½

The errors are mean absolute differences, over pairs of channels or over channels and lags up to half of a window. That
of the spectrum is the log-spectral distance of the channels in decibels, √(mean over f of (10 log₁₀ S'(f)/S(f))²): 6.02
for series of twice the amplitude. It sees small faults where the real series have little power, such as roughness.

M. B. Priestley, "Spectral Analysis and Time Series", 1981 (periodogram, autocorrelation). L. Rabiner, B.-H. Juang,
"Fundamentals of Speech Recognition", 1993, section 4.5 (log-spectral distance).
"""

import torch
from torch import Tensor

LAGS = 64  # most lags of the autocorrelation
EMPTY = 1e-10  # power that counts as none, relative to a channel of variance 1


def centred(x: Tensor) -> Tensor:
    """Subtracts the mean of each channel over samples and steps from x (N, C, T), in float64."""
    x = x.double()
    return x - x.mean((0, 2), keepdim=True)


def correlations(x: Tensor) -> Tensor:
    """The correlations of all pairs of channels of x (N, C, T), over samples and steps: (C, C); 0 for constants."""
    z = centred(x).transpose(0, 1).flatten(1)
    norm = z.norm(dim=1)
    return (z @ z.T) / (norm[:, None] * norm).clamp(min=1e-300)


def correlation_error(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The mean absolute difference over pairs of channels of (N, C, T) and (M, C, T); {} for a single channel."""
    channels = fake.shape[1]
    if channels < 2:
        return {}
    i, j = torch.tril_indices(channels, channels, offset=-1)
    return {"correlation_error": (correlations(fake) - correlations(real)).abs()[i, j].mean().item()}


def autocorrelations(x: Tensor, lags: int) -> Tensor:
    """The autocorrelation of each channel of x (N, C, T) at the lags 1, ..., `lags`: (C, lags); 0 for constants."""
    z = centred(x)
    steps = z.shape[2]
    variance = z.square().mean((0, 2)).clamp(min=1e-300)
    found = [(z[:, :, : steps - k] * z[:, :, k:]).mean((0, 2)) / variance for k in range(1, lags + 1)]
    return torch.stack(found, dim=1)


def autocorrelation_error(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The mean absolute difference over channels and lags of (N, C, T) and (M, C, T).

    Raises:
        ValueError: the windows have fewer than two steps.
    """
    lags = lags_of(fake.shape[2])
    difference = autocorrelations(fake, lags) - autocorrelations(real, lags)
    return {"autocorrelation_error": difference.abs().mean().item()}


def lags_of(steps: int) -> int:
    """How many lags are compared in windows of so many steps: half of them, LAGS at most.

    Raises:
        ValueError: there are fewer than two steps.
    """
    if steps < 2:
        raise ValueError("needs windows of two steps at least")
    return min(max(steps // 2, 1), LAGS)


def spectrum(x: Tensor) -> Tensor:
    """The mean periodogram of each channel of x (N, C, T): (C, T // 2 + 1)."""
    return torch.fft.rfft(centred(x), dim=2).abs().square().mean(0) / x.shape[2]


def spectrum_error(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The log-spectral distance of (N, C, T) from (M, C, T) in dB, both standardised; the mean over the channels."""
    ratio = (spectrum(fake) + EMPTY) / (spectrum(real) + EMPTY)
    return {"spectrum_error": (10 * ratio.log10()).square().mean(1).sqrt().mean().item()}
