"""A look at parameters and gradients that leaves the training alone.

The gradients are those of the next step's losses, computed once more on a copy of the family: buffers that a loss moves
(running statistics, pools of old fakes) stay as they are, so a run that is looked at stays the same to the bit. While
it is there, the copy takes the memory of the weights a second time.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Batch
from genlab.models.base import Family, Phase
from genlab.trainer import device

VALUES = 10_000  # of one tensor in its histogram, evenly spaced: bounds time and file size


def inspect(family: Family, batch: Batch, seed: int, step: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Norms of the phases' gradients, and values for histograms: all that TensorBoard shows of them.

    In fp32, whatever the precision of the training; all phases see the same batch, and the noise of step `step`.

    Returns:
        `gradient_norm/PHASE` -> the 2-norm over all parameters of the phase; and `parameters/NAME` and
        `gradients/PHASE/NAME` -> up to `VALUES` values, NAME that of the parameter in the family.
    """
    device.seed(family.device, seed, step)
    copy = deepcopy(family)
    names = {id(parameter): name for name, parameter in copy.named_parameters()}
    norms: dict[str, float] = {}
    found = {f"parameters/{name}": values(parameter) for name, parameter in copy.named_parameters()}
    carried: Batch = {"step": torch.full((), step, dtype=torch.int64, device=family.device)}
    for phase in copy.phases():
        gradients, carry = _gradients(phase, batch | carried)
        carried |= carry
        found |= {f"gradients/{phase.name}/{names[i]}": values(g) for i, g in gradients.items() if i in names}
        norm = torch.stack([g.float().norm() for g in gradients.values()]).norm()
        norms[f"gradient_norm/{phase.name}"] = norm.item()
    return norms, {tag: array for tag, array in found.items() if len(array)}


def _gradients(phase: Phase, batch: Batch) -> tuple[dict[int, Tensor], Batch]:
    """Gradients of a phase's loss by the id of the parameter, and what it carries to the later phases."""
    parameters = {id(p): p for module in phase.modules for p in module.parameters() if p.requires_grad}
    out = phase.loss(batch)
    found = torch.autograd.grad(out.loss, list(parameters.values()), allow_unused=True)
    gradients = {i: gradient for i, gradient in zip(parameters, found, strict=True) if gradient is not None}
    return gradients, {key: value.detach() for key, value in out.carry.items()}


def values(tensor: Tensor) -> np.ndarray:
    """At most `VALUES` finite values of a tensor, evenly spaced, on the host."""
    flat = tensor.detach().flatten()
    flat = flat[:: max(1, -(-len(flat) // VALUES))].float()
    return flat[flat.isfinite()].cpu().numpy()
