"""Boltzmann generators: a flow q trained on an energy U alone, p(x) = exp(-U(x)) / Z, in units of kT. No data.

    loss = E_q [log q(x) + β U(x)] = KL(q || p_β) - log Z_β                                           (reverse KL)
    E_p h = Σ w h / Σ w,   w = exp(-U(x)) / q(x),   x ~ q                                      (reweighting)
    F_B - F_A = -log (Σ_{x in B} w / Σ_{x in A} w)

The reverse KL is mode-seeking: a q that covers one well pays almost nothing for missing a rare one. So β grows from a
small value, where the barrier is low and q covers all wells, to 1 (an energy-tempering schedule). Reweighting then
removes the remaining bias, as long as q covers all wells. The effective sample size says how even the weights are, but
it cannot detect a well that no sample reached.

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
    """Computes U = x₁⁴ / 4 - 3 x₁² + x₁ + x₂² / 2 (Noé et al.), with wells near x₁ = -2.53 and, rarer, 2.36."""
    first, second = x[:, 0], x[:, 1]
    return 0.25 * first**4 - 3 * first.square() + first + 0.5 * second.square()


def right(x: Tensor) -> Tensor:
    """Selects the well where x₁ > 0."""
    return x[:, 0] > 0


PLANE = 2  # dimensions of the energies below, and of the space that `quadrature` covers
ENERGIES: dict[str, Energy] = {"double_well": double_well}


class Boltzmann(Flow):
    """Boltzmann generator: a flow trained by reverse KL on an energy; the data only give the shape (Noé et al. 2019).

    Training never uses the points of the data set, so samples are not compared with them; see `measures`.

    Args:
        energy: U in kT: double_well, or any differentiable callable (B, D) -> (B,).
        start: β at the first step, in (0, 1].
        anneal_steps: steps over which β grows to 1, geometrically.
        coupling, couplings, hidden, activation, bins, bound: options of the flow, see `Flow`.

    Raises:
        UserError: the data are pixels, categories or a table, or the energy is unknown or does not fit the shape.
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
            kind = f"{spec.layout}s of {spec.values} values"
            if spec.columns:
                kind = "graphs" if spec.nodes else "a table"
            raise UserError(f"model: boltzmann learns from an energy of points, not from {kind}; use data=gaussian2d")
        if isinstance(energy, str):
            choose("energy", energy, ENERGIES)
            if math.prod(spec.shape) != PLANE:
                raise OptionError("energy", f"{energy} needs points in the plane, not samples of shape {spec.shape}")
            energy = ENERGIES[energy]
        within("start", start, above=0, high=1)
        super().__init__(
            spec, "realnvp", coupling, couplings, hidden=hidden, activation=activation, bins=bins, bound=bound
        )
        self.energy, self.start, self.anneal_steps = energy, start, anneal_steps
        for module in self.modules():
            if isinstance(module, ActNorm):
                module.initialised.fill_(True)  # there are no data to take a mean from

    def initialise(self, batch: Batch) -> None:
        """Does nothing, because the data only give the shape."""

    def loss(self, batch: Batch) -> LossOutput:
        """Estimates KL(q || p_β) - log Z_β in nats from as many samples as the batch has."""
        x, log_q = self.draw(torch.randn_like(batch["x"]))
        energy = self.energy(x)
        loss = (log_q + self.beta_at(batch["step"]) * energy).mean()
        size = effective_sample_size((-energy - log_q).detach()) / len(x)
        return LossOutput(loss, {"energy": energy.mean(), "effective_sample_size": size})

    def beta_at(self, step: Tensor) -> Tensor | float:
        """Returns β after `step` steps: start^(1 - t), where t goes from 0 to 1 over `anneal_steps`."""
        if self.anneal_steps == 0:
            return 1.0
        return self.start ** (1 - (step.float() / self.anneal_steps).clamp(max=1.0))

    def log_target(self, x: Tensor) -> Tensor:
        """Returns log p̃(x) = -U(x), without the unknown log Z: (B, D) -> (B,)."""
        return -self.energy(x)

    def free_energy_difference(self, n: int, region: Region = right) -> tuple[Tensor, Tensor]:
        """Estimates F inside `region` minus F outside, in kT, from n samples, and their effective sample size."""
        x, log_weights = self.importance_sample(n, self.log_target)
        inside = region(x)
        log_inside = log_weights.masked_fill(~inside, -torch.inf).logsumexp(0)
        log_outside = log_weights.masked_fill(inside, -torch.inf).logsumexp(0)
        return log_outside - log_inside, effective_sample_size(log_weights)

    @torch.no_grad()
    def measures(self, n: int) -> dict[str, float]:
        """Returns the effective sample size as a share of n; in 2-D also F(right well) - F(left well) and its error."""
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
    """Integrates F inside `region` minus F outside, in kT, by the midpoint rule on [-side, side]², in float64."""
    axis = (torch.arange(points, dtype=torch.float64) + 0.5) * (2 * side / points) - side
    x = torch.cartesian_prod(axis, axis)
    log_p, inside = -energy(x), region(x)
    return (log_p[~inside].logsumexp(0) - log_p[inside].logsumexp(0)).item()
