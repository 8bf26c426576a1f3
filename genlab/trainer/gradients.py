"""Inspects parameters and gradients without affecting the training.

The gradients of the next step's losses are computed on a copy of the family: buffers that a loss updates (running
statistics, pools of old fakes) do not change, so inspecting a run leaves it bitwise identical. While the copy exists,
the weights take twice the memory.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Batch
from genlab.models.base import Family, Phase
from genlab.trainer import device

VALUES = 10_000  # per tensor in a histogram, evenly spaced; bounds time and file size


def inspect(family: Family, batch: Batch, seed: int, step: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Returns the gradient norms of the phases, and values for TensorBoard's histograms.

    Computes in fp32 whatever the training precision; all phases see the same batch and the noise of step `step`.

    Returns:
        `gradient_norm/PHASE` -> the 2-norm over all parameters of the phase; and `parameters/NAME` and
        `gradients/PHASE/NAME` -> up to `VALUES` values, where NAME is the parameter's name in the family.
    """
    device.seed(family.device, seed, step)
    copy = deepcopy(family)
    names = {id(parameter): name for name, parameter in copy.named_parameters()}
    norms: dict[str, float] = {}
    histograms = {f"parameters/{name}": values(parameter) for name, parameter in copy.named_parameters()}
    carried: Batch = {"step": torch.full((), step, dtype=torch.int64, device=family.device)}
    for phase in copy.phases():
        gradients, carry = _gradients(phase, batch | carried)
        carried |= carry
        histograms |= {f"gradients/{phase.name}/{names[i]}": values(g) for i, g in gradients.items() if i in names}
        norm = torch.stack([g.float().norm() for g in gradients.values()]).norm()
        norms[f"gradient_norm/{phase.name}"] = norm.item()
    return norms, {tag: array for tag, array in histograms.items() if len(array)}


def _gradients(phase: Phase, batch: Batch) -> tuple[dict[int, Tensor], Batch]:
    """Returns the gradients of a phase's loss by parameter id, and what it carries to the later phases."""
    parameters = {id(p): p for module in phase.modules for p in module.parameters() if p.requires_grad}
    out = phase.loss(batch)
    computed = torch.autograd.grad(out.loss, list(parameters.values()), allow_unused=True)
    gradients = {i: gradient for i, gradient in zip(parameters, computed, strict=True) if gradient is not None}
    return gradients, {key: value.detach() for key, value in out.carry.items()}


def values(tensor: Tensor) -> np.ndarray:
    """Returns at most `VALUES` finite values of a tensor, evenly spaced, on the host."""
    flat = tensor.detach().flatten()
    flat = flat[:: max(1, -(-len(flat) // VALUES))].float()
    return flat[flat.isfinite()].cpu().numpy()
