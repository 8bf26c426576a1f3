"""A gated recurrent net with a linear readout, and its training: the judge behind two scores of series.

K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", 2014,
https://arxiv.org/abs/1406.1078 (the unit).
"""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

BATCH = 128
CHUNK = 2000  # series read at a time without gradients


class Recurrent(nn.Module):
    """One layer of gated recurrent units and a linear readout of each step, with weights drawn by `generator`.

    Weights start as those of a GRU of Keras do: Glorot uniform from the input, orthogonal from step to step, biases 0.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, generator: torch.Generator, device: torch.device):
        super().__init__()
        # On "meta" nothing is drawn from torch's global generator.
        self.unit = nn.GRU(inputs, hidden, batch_first=True, device="meta")
        self.readout = nn.Linear(hidden, outputs, device="meta")
        self.to_empty(device=device)
        self.unit.flatten_parameters()
        with torch.no_grad():
            for name, weight in self.named_parameters():
                weight.copy_(_initial(name, weight.shape, hidden, generator))

    def forward(self, x: Tensor) -> Tensor:
        """Reads series (B, T, inputs) and returns an output for each step: (B, T, outputs)."""
        return self.readout(self.unit(x)[0])

    def last(self, x: Tensor) -> Tensor:
        """Reads series (B, T, inputs) and returns the output after the last step: (B, outputs)."""
        return self.readout(self.unit(x)[1][0])


def _initial(name: str, shape: torch.Size, hidden: int, generator: torch.Generator) -> Tensor:
    weight = torch.zeros(shape)
    if "bias" in name:
        return weight
    if "weight_hh" in name:
        for gate in weight.split(hidden):
            nn.init.orthogonal_(gate, generator=generator)
        return weight
    return nn.init.xavier_uniform_(weight, generator=generator)


@torch.enable_grad()
def fit(
    net: Recurrent,
    loss: Callable[[], Tensor],
    steps: int,
    rate: float,
    held_out: Callable[[], float] | None = None,
    every: int = 50,
    patience: int = 6,
) -> None:
    """Trains a net with Adam for `steps` steps and, given `held_out`, keeps the weights with its lowest value.

    Args:
        loss: draws a batch and returns its loss.
        held_out: a loss on series apart, taken every `every` steps; after `patience` values without a lower one,
            training stops.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    best, kept, waited = math.inf, None, 0
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        if held_out is None or step % every:
            continue
        value = held_out()
        if value < best:
            best, kept, waited = value, copy.deepcopy(net.state_dict()), 0
        elif (waited := waited + 1) == patience:
            break
    if kept is not None:
        net.load_state_dict(kept)


@torch.no_grad()
def read(rule: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Applies a rule to series (N, ...) in chunks, without gradients.

    Raises:
        ValueError: the result is not finite.
    """
    result = torch.cat([rule(part) for part in x.split(CHUNK)])
    if not result.isfinite().all():
        raise ValueError("the recurrent net diverged on these samples")
    return result


def batch(x: Tensor, generator: torch.Generator, size: int = BATCH) -> Tensor:
    """Draws `size` of the series (N, ...) without replacement; all of them in a new order if there are fewer."""
    return x[torch.randperm(len(x), generator=generator)[:size].to(x.device)]
