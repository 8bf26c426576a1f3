"""Measures how step time and memory grow with the batch, the width of the nets and the size of the data.

    python scripts/benchmarks/scaling.py                       all tables
    python scripts/benchmarks/scaling.py data --markdown data.md
    python scripts/benchmarks/scaling.py --up-to 1000          without the larger sizes: minutes

Each row is measured in a separate process, so that its peak memory is its own. `data` is points in the plane in a file
that `data=array` reads; `images` is a memory-mapped file of images, of which a process only touches what it trains on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genlab.report.tables import columns, markdown, number

SECONDS = 3.0
VAE = ("model=vae", "model.encoder.hidden=[128,128]", "model.decoder.hidden=[128,128]")


def points(n: int, folder: Path) -> Path:
    """Writes a file of n points from two clouds, piece by piece."""
    path = folder / f"{n}.npy"
    file = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(n, 2))
    random = np.random.default_rng(0)
    for start in range(0, n, 1_000_000):
        size = min(1_000_000, n - start)
        file[start : start + size] = random.normal(size=(size, 2)) + 2 * random.choice([-1, 1], size=(size, 1))
    file.flush()
    return path


def tables(folder: Path, most: float) -> dict[str, Iterator[tuple[str, int, tuple[str, ...]]]]:
    """Returns the rows of each table by name: what varies, its value up to `most`, and the command-line words."""

    def values(*given: int) -> list[int]:
        return [value for value in given if value <= most]

    return {
        "batch": (
            ("batch", size, (*VAE, f"trainer.batch_size={size}")) for size in values(16, 64, 256, 1024, 4096, 16384)
        ),
        "width": (
            ("width", w, ("model=vae", f"model.encoder.hidden=[{w},{w}]", f"model.decoder.hidden=[{w},{w}]"))
            for w in values(32, 64, 128, 256, 512, 1024)
        ),
        "data": (
            ("points", n, (*VAE, "data=array", f"data.path={points(n, folder)}"))
            for n in values(1_000, 10_000, 100_000, 1_000_000, 10_000_000)
        ),
        "images": (
            ("images", n, ("model=vae", "data=array", f"data.path={images(n, folder)}"))
            for n in values(1_000, 10_000, 100_000)
        ),
    }


def images(n: int, folder: Path) -> Path:
    """Writes a file of n gray 32x32 images of noise, piece by piece."""
    path = folder / f"images-{n}.npy"
    file = np.lib.format.open_memmap(path, "w+", dtype=np.uint8, shape=(n, 1, 32, 32))
    random = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        size = min(10_000, n - start)
        file[start : start + size] = random.integers(256, size=(size, 1, 32, 32))
    file.flush()
    return path


def measure(words: list[str]) -> None:
    """Prints seconds to load the data, milliseconds per step and peak memory in MiB; runs in a separate process."""
    from genlab.config import build
    from genlab.config.compose import compose
    from genlab.trainer.device import peak_memory
    from genlab.trainer.loop import Trainer

    off = [f"trainer.{name}_every=0" for name in ("evaluate", "sample", "checkpoint")]
    config = compose("train", [*words, *off, "trainer.execution=eager", "name=scaling"])
    begun = time.perf_counter()
    data = build.data(config)
    ready = time.perf_counter() - begun
    trainer = Trainer(build.family(config, data.spec), data, build.optimizers(config), build.options(config))
    trainer.steps = 5
    trainer.fit()
    spent, done, steps = 0.0, 0, 5
    while spent < SECONDS:
        trainer.steps = trainer.step + steps
        result = trainer.fit()
        spent, done, steps = spent + result.seconds, done + steps, 2 * steps
    step = 1000 * spent / done
    print(
        json.dumps(
            {"ready": ready, "step": step, "mib": peak_memory(trainer.device), "batch": config.trainer.batch_size}
        )
    )


def run(words: tuple[str, ...]) -> dict[str, float]:
    """Runs `measure` in a separate process and returns what it measured."""
    command = [sys.executable, __file__, "--measure", *words]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="batch, width, data, images; default: all")
    parser.add_argument("--up-to", type=int, help="leave out larger values")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--measure", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in tables(Path(folder), arguments.up_to or float("inf")).items():
            if arguments.names and name not in arguments.names:
                continue
            rows = []
            for _, value, words in lines:
                result = run(words)
                rate = 1000 * result["batch"] / result["step"]
                cells = (result["ready"], result["step"], result["mib"])
                rows.append((f"{value:,}", *map(number, cells), f"{rate:,.0f}"))
            table = [(name, "seconds to load", "ms per step", "peak MiB", "samples/s"), *rows]
            print("\n".join(columns(table)), end="\n\n", flush=True)
            texts.append(markdown(table))
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
