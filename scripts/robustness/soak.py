"""Kills training runs and checks that none is lost: `python scripts/robustness/soak.py --kills 200`.

Every family is trained once without interruption, and once more with SIGKILL at a random moment, a resume, another
kill, and so on until it finishes. Both results must be equal to the bit (`torch.equal` on every tensor of last.pt), and
so must metrics.jsonl, except for times. With `--writes`, one small run is killed at every single call that opens,
writes (also halfway through), syncs, links or renames a file.

A parent process imports torch once and forks the runs, so that a kill costs a fraction of a second. SIGKILL does not
affect the disk cache of the system: the order of the fsyncs, which matters in a power cut, is not tested here.
"""

import argparse
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

# Modules that training imports, before the first fork.
import genlab.commands.resume
import genlab.commands.train
import genlab.data.mnist
import genlab.plots.snapshots
import genlab.runs.files
import genlab.runs.folder
import genlab.runs.tracker
import genlab.trainer.loop
from genlab import cli, configs
from genlab.trainer import checkpoint

COMMON = (
    *("train", "trainer.device=cpu", "trainer.batch_size=8", "trainer.log_every=2", "trainer.checkpoint_every=2"),
    *("trainer.sample_every=0", "trainer.evaluate_every=0", "trainer.keep=2"),
)
POINTS = ("data=gaussian2d", "data.n=100", "trainer.steps=40")
IMAGES = ("data=mnist", "data.validation=20", "trainer.steps=8")
TABLES = ("autoregressive", "ctgan", "tabddpm")
GRAPHS = ("digress",)
LIMITED = ("boltzmann", *TABLES, *GRAPHS)  # to an energy of points, to tables, to graphs
WRITTEN = (
    *("model=autoencoder", "model.encoder.hidden=[2]", "model.decoder.hidden=[2]", "model.z_dim=1", *POINTS),
    *("trainer.steps=5", "trainer.evaluate_every=3"),
)


def tiny_images(source: str, root: str | None, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns 100 images of noise in place of the real files."""
    generator = torch.Generator().manual_seed(int(train))
    return torch.randint(256, (100, 1, 28, 28), generator=generator).to(torch.uint8), torch.arange(100) % 10


def fork(arguments: list[str], log: Path, before: Any = None, after: Any = None) -> int:
    """Starts `genlab ARGUMENTS` in a child process; returns its pid."""
    if pid := os.fork():
        return pid
    code = 99
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        if before:
            before()
        code = cli.main(arguments)
        if after:
            after()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def warm(folder: Path) -> None:
    """Imports here everything that training imports, so that the forks need not."""
    listing, log = folder / "modules", folder / "warm.log"
    arguments = [*COMMON, *WRITTEN, f"hydra.run.dir={folder / 'warm'}"]
    finish(fork(arguments, log, after=lambda: listing.write_text(" ".join(sys.modules), encoding="utf-8")))
    for name in listing.read_text(encoding="utf-8").split():
        with suppress(ImportError):
            importlib.import_module(name)


def finish(pid: int) -> int:
    """Waits for a child; returns its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def restart(run: Path, arguments: list[str]) -> list[str]:
    """Returns what a user types after a kill: a resume, or the same command if nothing was written yet."""
    if (run / "config.yaml").exists():
        return ["train", f"resume={run}"]
    return arguments


def same(a: Any, b: Any) -> bool:
    """Returns whether two nested structures are equal, tensors to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def result(run: Path) -> tuple[dict, list[dict]]:
    """Returns the last checkpoint and the lines of metrics.jsonl without times, which may differ."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    timeless = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
    return checkpoint.read(run / "checkpoints" / "last.pt"), timeless


class Soak:
    """A soak test in one folder, with counts of what happened."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.kills = self.runs = self.before_config = self.before_checkpoint = self.missed = 0
        self.lost: list[str] = []

    def uninterrupted(self, name: str, arguments: list[str], before: Any = None) -> tuple[tuple, float]:
        """Returns the result of a run without kills, and its seconds."""
        run, began = self.folder / f"{name}_whole", time.monotonic()
        code = finish(fork([*arguments, f"hydra.run.dir={run}"], self.folder / f"{name}.log", before))
        if code:
            log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            sys.exit(f"{name}: exit code {code} without a kill: {log[-2000:]}")
        return result(run), time.monotonic() - began

    def note(self, run: Path) -> None:
        """Counts a kill."""
        self.kills += 1
        self.before_config += not (run / "config.yaml").exists()
        self.before_checkpoint += not (run / "checkpoints" / "last.pt").exists()

    def check(self, name: str, run: Path, code: int, expected: tuple) -> None:
        """Compares the result of a run that was killed and resumed; deletes the run if it is right."""
        self.runs += 1
        if code == 0 and same(result(run), expected):
            shutil.rmtree(run)
        else:
            self.lost.append(f"{name}: exit code {code}, {run}")

    def at_random(self, name: str, arguments: list[str], expected: tuple, seconds: float, kills: int) -> None:
        """Trains one run with `kills` kills at random moments."""
        run, log = self.folder / f"{name}_{self.runs}", self.folder / f"{name}.log"
        arguments = [*arguments, f"hydra.run.dir={run}"]
        for _ in range(kills):
            pid = fork(restart(run, arguments), log)
            time.sleep(self.random.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
            if finish(pid) == -signal.SIGKILL:
                self.note(run)
            else:
                self.missed += 1  # it had already finished
        self.check(name, run, finish(fork(restart(run, arguments), log)), expected)

    def at_every_write(self, stride: int) -> None:
        """Trains a small run for each call that changes the disk, and kills it there."""
        arguments, total = [*COMMON, *WRITTEN], self.folder / "calls"
        expected, _ = self.uninterrupted("writes", arguments, lambda: Gate(-1, False).install(total))
        calls = total.read_text(encoding="utf-8").split()
        for number in range(0, len(calls), stride):
            for torn in (False, True)[: 1 + (calls[number] == "write")]:
                run, log = self.folder / f"writes_{number}_{torn}", self.folder / "writes.log"
                full = [*arguments, f"hydra.run.dir={run}"]
                code = finish(fork(full, log, Gate(number, torn).install))
                if code != -signal.SIGKILL:
                    self.lost.append(f"call {number} was not reached: exit code {code}")
                    continue
                self.note(run)
                self.check(f"call {number} ({calls[number]})", run, finish(fork(restart(run, full), log)), expected)


class Gate:
    """A hook that kills this process at its n-th call that changes the disk, before it or in the middle of a write."""

    def __init__(self, number: int, torn: bool) -> None:
        self.number, self.torn, self.count = number, torn, 0
        self.listing: Path | None = None

    def __call__(self, kind: str, file: io.FileIO | None = None, data: Any = b"") -> None:
        if self.listing:
            with open(self.listing, "a", encoding="utf-8") as out:
                out.write(f"{kind}\n")
        if self.count == self.number:
            if self.torn and file is not None:
                os.write(file.fileno(), bytes(data)[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def install(self, listing: Path | None = None) -> None:
        """Calls the gate before every function that writes the run folder and the checkpoints."""
        self.listing = listing
        gate = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                gate("write", self, data)
                return super().write(data)

        def opened(path: Any, mode: str = "r", **options: Any) -> Any:
            if mode not in ("w", "wb", "a"):
                return open(path, mode, **options)
            gate("open")
            file = io.BufferedWriter(Raw(path, mode[0]))
            return file if mode == "wb" else io.TextIOWrapper(file)

        def gated(kind: str, real: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                gate(kind)
                return real(*arguments, **options)

            return call

        for module in (genlab.runs.files, genlab.runs.folder, genlab.runs.tracker):
            vars(module)["open"] = opened
        for name in ("fsync", "replace", "link", "unlink", "mkdir"):
            setattr(os, name, gated(name, getattr(os, name)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="kills at random moments, over all families")
    parser.add_argument("--in-a-row", type=int, default=3, help="kills of one run")
    parser.add_argument("--writes", type=int, default=1, help="kill at every n-th call that writes; 0: at none")
    parser.add_argument("--models", default="", help="only these models, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()

    torch.set_num_threads(1)
    genlab.data.mnist.load = tiny_images
    names = (
        chosen.models.split(",") if chosen.models else [p.stem for p in sorted((configs() / "model").glob("*.yaml"))]
    )
    pairs = [(name, POINTS) for name in names if name not in (*TABLES, *GRAPHS)]
    pairs += [(name, IMAGES) for name in names if not chosen.models and name not in LIMITED]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="genlab-soak-") as folder:
        warm(Path(folder))
        soak = Soak(Path(folder), chosen.seed)
        if chosen.writes:
            soak.at_every_write(chosen.writes)
            print(f"at writes: {soak.kills} kills, {soak.runs} runs, {len(soak.lost)} lost", flush=True)
        wanted = soak.kills + chosen.kills
        results = {}
        while soak.kills < wanted and not soak.lost:
            for model, data in pairs:
                name = f"{model}_{data[0][5:]}"
                arguments = [*COMMON, f"model={model}", *data]
                if name not in results:
                    results[name] = soak.uninterrupted(name, arguments)
                before = soak.kills
                soak.at_random(name, arguments, *results[name], kills=min(chosen.in_a_row, wanted - soak.kills))
                print(f"{name}: {soak.kills - before} kills, {len(soak.lost)} lost so far", flush=True)
                if soak.kills >= wanted:
                    break
        print(
            f"{soak.kills} kills of {soak.runs} runs in {time.monotonic() - began:.0f} s: {len(soak.lost)} lost. "
            f"{soak.before_config} kills came before config.yaml, {soak.before_checkpoint} before the first "
            f"checkpoint; {soak.missed} came after the end of the run."
        )
        for line in soak.lost:
            print(f"lost: {line}")
    return bool(soak.lost)


if __name__ == "__main__":
    sys.exit(main())
