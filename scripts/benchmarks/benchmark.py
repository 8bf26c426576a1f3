"""Times genlab against hand-written loops and other packages, in one run and in turns (A B A B ...).

    python scripts/benchmarks/benchmark.py                        all cases, eager and compiled
    python scripts/benchmarks/benchmark.py gaussian2d_wgan_gp mnist_vae --rounds 7
    python scripts/benchmarks/benchmark.py mnist_vae --against 'python other.py'  a program that prints samples_per_s=N
    python scripts/benchmarks/benchmark.py startup

The speed of a machine drifts, so times of different runs are not comparable: in each round every contender trains for
a few seconds, and ratios are taken within the round. The script prints the median and the range of the ratios, the
samples per second (real samples, one batch per step), the arithmetic of a step as a share of the machine's own
matrix-product rate, and the peak memory of a process that runs only this contender.
"""

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import loops
import torch
from cases import CASES, Case
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, register_flop_formula

from genlab.report.tables import columns, markdown, number

WARM_UP = 8  # steps before a contender is timed, which include compilation


class Contender(NamedTuple):
    name: str
    burst: Callable[[float], float]  # trains for this many seconds -> samples per second


def genlab(case: Case, mode: str) -> tuple[Contender, Callable[[], float]]:
    """Returns genlab's trainer with an execution mode, and a function that counts the operations of a step."""
    from genlab.config import build
    from genlab.config.compose import compose
    from genlab.trainer.loop import Trainer

    off = [f"trainer.{name}_every=0" for name in ("evaluate", "sample", "checkpoint")]
    words = [*case.overrides, *off, f"trainer.execution={mode}", "trainer.epochs=null", "name=benchmark"]
    config = compose("train", words)
    data = build.data(config)
    trainer = Trainer(build.family(config, data.spec), data, build.optimizers(config), build.options(config))
    trainer.steps = WARM_UP
    trainer.fit()

    def burst(seconds: float) -> float:
        done, spent, steps = 0, 0.0, 10
        while spent < seconds:
            trainer.steps = trainer.step + steps
            result = trainer.fit()
            done, spent = done + steps, spent + result.seconds
            steps = max(10, min(10_000, int(steps * (seconds - spent) / max(result.seconds, 1e-3))))
        return done * case.batch / spent

    def operations() -> float:
        with Operations() as counter:
            trainer.train_step()
        return counter.total

    return Contender(f"genlab {mode}", burst), operations


@register_flop_formula(torch.ops.mkldnn._linear_pointwise)
def _(x: torch.Size, weight: torch.Size, *_: object, **__: object) -> int:
    """Returns the operations of a oneDNN matrix product: (B, n), (m, n) -> (B, m)."""
    return 2 * x[0] * x[1] * weight[0]


class Operations(TorchDispatchMode):
    """A counter of floating-point operations. torch's own counter does not support `autograd.grad`."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        self.total += count(*args, **(kwargs or {}), out_val=out) if count else 0
        return out


def by_hand(name: str, make: Callable[[], loops.Step], batch: int) -> Contender:
    """Returns a contender that runs a hand-written loop in this process."""
    step = make()
    for _ in range(WARM_UP):
        step()

    def burst(seconds: float) -> float:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            step()
            done += 1
        return done * batch / (time.perf_counter() - begun)

    return Contender(name, burst)


def by_command(command: str) -> Contender:
    """Returns a contender that runs another program in every round, which prints its own speed."""

    def burst(seconds: float) -> float:
        run = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
        match = re.search(r"samples_per_s=([\d.]+)", run.stdout)
        if not match:
            raise SystemExit(f"'{command}' printed no samples_per_s=N: {run.stdout[-200:]} {run.stderr[-300:]}")
        return float(match[1])

    return Contender("command", burst)


def matrix_rate(seconds: float = 1.0, size: int = 1024) -> float:
    """Measures floating-point operations per second of a product of square fp32 matrices, on torch's threads."""
    a = torch.randn(size, size)
    torch.mm(a, a)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        torch.mm(a, a)
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - begun)


def contenders(case: Case, modes: list[str], command: str | None) -> tuple[list[Contender], Callable[[], float]]:
    """Returns the contenders, references first and then genlab, and the counter of operations of a step."""
    others = [by_hand(name, make, case.batch) for name, make in case.others.items()]
    if command:
        others.append(by_command(command))
    ours = [genlab(case, mode) for mode in modes]
    return [*others, *(contender for contender, _ in ours)], genlab(case, "eager")[1]


def compare(name: str, modes: list[str], rounds: int, seconds: float, command: str | None) -> list[tuple[str, ...]]:
    """Returns a row for each contender: samples per second, and the ratio to every reference with its range."""
    case = CASES[name]
    modes = [mode for mode in modes if mode in case.modes]
    field, operations = contenders(case, modes, command)
    references = [c.name for c in field if not c.name.startswith("genlab")]
    speeds: dict[str, list[float]] = {c.name: [] for c in field}
    for _ in range(rounds):
        for contender in field:
            threads = torch.get_num_threads()
            speeds[contender.name].append(contender.burst(seconds))
            torch.set_num_threads(threads)  # a trainer sets its own number
    rate, flops = matrix_rate(), operations()
    rows = []
    for contender in field:
        own = speeds[contender.name]
        ratios = []
        for reference in references:
            pairs = [a / b for a, b in zip(own, speeds[reference], strict=True)]
            same = reference == contender.name
            ratios.append("" if same else f"{statistics.median(pairs):.2f} ({min(pairs):.2f}-{max(pairs):.2f})")
        share = 100 * flops * statistics.median(own) / case.batch / rate
        memory = "" if contender.name == "command" else number(alone(name, contender.name))
        rows.append((name, contender.name, f"{statistics.median(own):,.0f}", *ratios, f"{share:.0f} %", memory))
    return [("case", "", "samples/s", *(f"to {r}" for r in references), "of matmul rate", "MiB"), *rows]


def alone(case: str, contender: str) -> float:
    """Returns the peak memory in MiB of a process that runs only this contender, for a second."""
    command = [sys.executable, __file__, case, "--alone", contender]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])["mib"]


def run_alone(name: str, contender: str) -> None:
    """Runs a contender in this process and prints its peak memory, for `alone`."""
    from genlab.trainer.device import peak_memory

    case = CASES[name]
    if contender.startswith("genlab "):
        chosen = genlab(case, contender.removeprefix("genlab "))[0]
    else:
        chosen = by_hand(contender, case.others[contender], case.batch)
    chosen.burst(1.0)
    print(json.dumps({"mib": peak_memory(torch.device("cpu"))}))


def startup(rounds: int) -> list[tuple[str, ...]]:
    """Times whole processes in turn, and their ratio to importing torch and torchvision."""
    commands = {
        "import torch, torchvision": [sys.executable, "-c", "import torch, torchvision"],
        "genlab --help": [sys.executable, "-m", "genlab", "--help"],
        "genlab train --cfg job": [sys.executable, "-m", "genlab", "train", "--cfg", "job"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=Path(__file__).parents[2])
            times[name].append(time.perf_counter() - begun)
    first, rows = next(iter(commands)), []
    for name, all_times in times.items():
        counted = all_times[1:]  # the first round fills the file system's caches
        pairs = [a / b for a, b in zip(counted, times[first][1:], strict=True)]
        ratio = f"{statistics.median(pairs):.3f} ({min(pairs):.3f}-{max(pairs):.3f})"
        rows.append((name, f"{statistics.median(counted):.2f}", ratio))
    return [("whole process", "seconds", "to importing torch, torchvision"), *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, "startup", []], help="default: all")
    parser.add_argument("--modes", nargs="+", default=["eager", "compile"], choices=["eager", "compile", "graph"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds per contender and round")
    parser.add_argument("--against", help="a command that prints samples_per_s=N")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.alone:
        run_alone(arguments.cases[0], arguments.alone)
        return
    texts = []
    for name in arguments.cases or [*CASES, "startup"]:
        if name == "startup":
            rows = startup(arguments.rounds)
        else:
            rows = compare(name, arguments.modes, arguments.rounds, arguments.seconds, arguments.against)
        print("\n".join(columns(rows, left=(0, 1))), end="\n\n", flush=True)
        texts.append(markdown(rows, left=(0, 1)))
    if arguments.markdown:
        machine = f"torch {torch.__version__}, {os.cpu_count()} cores, {arguments.rounds} rounds\n\n"
        arguments.markdown.write_text(machine + "\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
