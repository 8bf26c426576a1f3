"""Boltzmann generators: a flow q trained on an energy U alone, p(x) = exp(-U(x)) / Z, in units of kT. No data.

    loss = E_q [log q(x) + β U(x)] = KL(q || p_β) - log Z_β                                           (reverse KL)
    E_p h = Σ w h / Σ w,   w = exp(-U(x)) / q(x),   x ~ q                                      (reweighting)
    F_B - F_A = -log (Σ_{x in B} w / Σ_{x in A} w)

The reverse KL is mode-seeking: a q that sits in one well pays almost nothing for missing a rare one. So β grows from a
small value, where the barrier is low and q covers all wells, to 1 (an energy-tempering schedule). Reweighting then
removes what bias is left, as long as q covers all wells; the effective sample size says how even the weights are, but
it cannot see a well that no sample ever reached.

F. Noé, S. Olsson, J. Köhler, H. Wu, "Boltzmann generators: Sampling equilibrium states of many-body systems with deep
learning", 2019, https://arxiv.org/abs/1812.01729.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, UserError, choose, within
from genlab.models.base import LossOutput
from genlab.models.flow import Flow, effective_sample_size
from genlab.networks.coupling import ActNorm

Energy = Callable[[Tensor], Tensor]  # (B, D) -> (B,), in units of kT
Region = Callable[[Tensor], Tensor]  # (B, D) -> (B,) bool


def double_well(x: Tensor) -> Tensor:
    """U = x₁⁴ / 4 - 3 x₁² + x₁ + x₂² / 2, the two wells of Noé et al.: near x₁ = -2.53 and, rarely, 2.36."""
    first, second = x[:, 0], x[:, 1]
    return 0.25 * first**4 - 3 * first.square() + first + 0.5 * second.square()


def right(x: Tensor) -> Tensor:
    """The well where x₁ > 0."""
    return x[:, 0] > 0


PLANE = 2  # dimensions: of the energies, and where quadrature is exact
ENERGIES: dict[str, Energy] = {"double_well": double_well}


class Boltzmann(Flow):
    """Boltzmann generator: a flow trained by reverse KL on an energy, data only gives the shape (Noé et al. 2019).

    The points of the data set are never looked at, so samples are not compared with them: see `measures`.

    Args:
        energy: U in kT: double_well, or any differentiable callable (B, D) -> (B,).
        start: β of the first step, in (0, 1].
        anneal_steps: steps over which β grows to 1, evenly in log β.
        coupling, couplings, hidden, activation, bins, bound: of the flow, see `Flow`.

    Raises:
        UserError: pixels, categories or a table, an unknown energy, or one that does not fit the shape.
    """

    def __init__(
        self,
        spec: Spec,
        energy: str | Energy = "double_well",
        start: float = 0.05,
        anneal_steps: int = 1000,
        coupling: str = "spline",
        couplings: int = 6,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        bins: int = 16,
        bound: float = 5.0,
    ) -> None:
        if spec.columns or not spec.only("real"):
            what = "a table" if spec.columns else f"{spec.layout}s of {spec.values} values"
            raise UserError(f"model: boltzmann learns from an energy of points, not from {what}; use data=gaussian2d")
        if isinstance(energy, str):
            choose("energy", energy, ENERGIES)
            if math.prod(spec.shape) != PLANE:
                raise OptionError("energy", f"{energy} lives in the plane, the data have shape {spec.shape}")
            energy = ENERGIES[energy]
        within("start", start, above=0, high=1)
        super().__init__(
            spec, "realnvp", coupling, couplings, hidden=hidden, activation=activation, bins=bins, bound=bound
        )
        self.energy, self.start, self.anneal_steps = energy, start, anneal_steps
        for module in self.modules():
            if isinstance(module, ActNorm):
                module.initialised.fill_(True)  # no data to take a mean from

    def initialise(self, batch: Batch) -> None:
        """Take nothing: the data only give the shape."""

    def loss(self, batch: Batch) -> LossOutput:
        """KL(q || p_β) - log Z_β in nats from as many samples as the batch is long."""
        x, log_q = self.draw(torch.randn_like(batch["x"]))
        energy = self.energy(x)
        loss = (log_q + self.beta_at(batch["step"]) * energy).mean()
        size = effective_sample_size((-energy - log_q).detach()) / len(x)
        return LossOutput(loss, {"energy": energy.mean(), "effective_sample_size": size})

    def beta_at(self, step: Tensor) -> Tensor | float:
        """β after `step` steps: start^(1 - t) with t from 0 to 1 over `anneal_steps`."""
        if self.anneal_steps == 0:
            return 1.0
        return self.start ** (1 - (step.float() / self.anneal_steps).clamp(max=1.0))

    def log_target(self, x: Tensor) -> Tensor:
        """log p̃(x) = -U(x), without the unknown log Z: (B, D) -> (B,)."""
        return -self.energy(x)

    def free_energy_difference(self, n: int, region: Region = right) -> tuple[Tensor, Tensor]:
        """F inside of `region` less F outside, in kT, from n reweighted samples; and their effective sample size."""
        x, log_weights = self.importance_sample(n, self.log_target)
        inside = region(x)
        within = log_weights.masked_fill(~inside, -torch.inf).logsumexp(0)
        without = log_weights.masked_fill(inside, -torch.inf).logsumexp(0)
        return without - within, effective_sample_size(log_weights)

    @torch.no_grad()
    def measures(self, n: int) -> dict[str, float]:
        """Effective sample size as a share of n; in the plane F of the right well less F of the left, and its error."""
        difference, size = self.free_energy_difference(n)
        values = {"effective_sample_size": size.item() / n}
        if math.prod(self.spec.shape) == PLANE:
            reference = quadrature(self.energy)
            values |= {
                "free_energy_difference": difference.item(),
                "free_energy_error": abs(difference.item() - reference),
            }
        return values


def quadrature(energy: Energy, region: Region = right, side: float = 6.0, points: int = 600) -> float:
    """The reference: F inside of `region` less F outside in kT, by the midpoint rule on [-side, side]², float64."""
    axis = (torch.arange(points, dtype=torch.float64) + 0.5) * (2 * side / points) - side
    x = torch.cartesian_prod(axis, axis)
    log_p, inside = -energy(x), region(x)
    return (log_p[~inside].logsumexp(0) - log_p[inside].logsumexp(0)).item()
