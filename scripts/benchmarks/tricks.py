"""Measures the gain of each speed trick: runs with and without it take turns (A B A B ...) in one process.

    python scripts/benchmarks/tricks.py                        all tricks, each on its cases
    python scripts/benchmarks/tricks.py fused_optimizer --rounds 9

The script prints the median and the range of the ratios with/without (above 1: the trick is faster). A trick that gains
less than 5 % in all its cases does not belong in genlab; the measured gains are in the header of each trick's module.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import nn

from genlab.config import build
from genlab.config.compose import compose
from genlab.errors import UserError, choose
from genlab.networks import activation
from genlab.trainer.execution import compiled, optimizer_steps
from genlab.trainer.loop import Trainer

BURST = 1.0  # seconds per turn
WARM_UP = 8  # steps before timing, which include compilation


class Trick(NamedTuple):
    """A speed trick: how to switch it off, and the cases where it should help."""

    off: Callable[[], Any]  # returns a context without the trick
    execution: str
    cases: tuple[str, ...]


def patched(*targets: tuple[Any, str, Any]) -> Callable[[], Any]:
    """Returns a context in which these attributes have other values."""

    @contextmanager
    def context() -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, value in targets:
                stack.enter_context(mock.patch.object(owner, name, value))
            yield

    return context


def guarded(cpu: bool) -> dict[str, Any]:
    """Returns the compiler options with guards left on."""
    options = compiler_options(cpu)
    del options["guard_filter_fn"]
    return options


compiler_options = compiled.compiler_options
PLAIN = (  # torch's own activations
    (activation.ReLU, "forward", nn.ReLU.forward),
    (activation.LeakyReLU, "forward", nn.LeakyReLU.forward),
)
POINTS = ("model=wgan_gp", "model=vae", "model=ddpm")
TRICKS = {
    "fused_optimizer": Trick(
        patched((optimizer_steps.Fused, "fits", staticmethod(lambda optimizer, parameters: False))), "eager", POINTS
    ),
    "no_guards": Trick(patched((compiled, "compiler_options", guarded)), "compile", POINTS),
    "linear_pieces": Trick(patched(*PLAIN), "eager", ("model=wgan_gp", "model=wgan_gp data=mnist")),
    "linear_pieces_compiled": Trick(patched(*PLAIN), "compile", ("model=wgan_gp", "model=gan model.r1=0.1")),
}


def trainer(words: str, execution: str) -> Trainer:
    """Returns the trainer of a preset, without measures, pictures and logs."""
    quiet = [f"trainer.{name}_every=0" for name in ("log", "sample", "evaluate", "checkpoint")]
    given = [*words.split(), *quiet, "trainer.device=cpu", f"trainer.execution={execution}", "trainer.steps=1000000"]
    config = compose("train", given)
    data = build.data(config)
    torch.manual_seed(0)
    return Trainer(build.family(config, data.spec), data, build.optimizers(config), build.options(config))


def rate(run: Trainer) -> float:
    """Measures steps per second over one turn."""
    count, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < BURST:
        run.train_step()
        count += 1
    return count / taken


def gains(trick: Trick, words: str, rounds: int) -> list[float]:
    """Returns the ratio of steps per second with and without the trick, for each round."""
    with_trick, ratios = trainer(words, trick.execution), []
    with trick.off():
        without = trainer(words, trick.execution)
        for _ in range(WARM_UP):
            without.train_step()
    for _ in range(WARM_UP):
        with_trick.train_step()
    for _ in range(rounds):
        fast = rate(with_trick)
        with trick.off():
            ratios.append(fast / rate(without))
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of tricks; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        for name in options.names:
            choose("trick", name, TRICKS)
        for name in options.names or TRICKS:
            for words in TRICKS[name].cases:
                ratios = gains(TRICKS[name], words, options.rounds)
                middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
                print(f"{name:24} {words:66} {middle:.2f} ({low:.2f} to {high:.2f})", flush=True)
    except UserError as error:
        print(f"tricks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
