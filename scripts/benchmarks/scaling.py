"""How the time of a step and the memory of a process grow: with the batch, the width of the nets, the size of the data.

    python scripts/benchmarks/scaling.py                       all tables
    python scripts/benchmarks/scaling.py data --markdown data.md
    python scripts/benchmarks/scaling.py --up-to 1000          none of the large sizes: minutes

Every line is a process of its own, so that its peak memory is its own. `data` is points in the plane, as a file that
`data=array` reads; `images` a memory-mapped folder of images, of which a process touches what it trains on.
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
    """A file of n points of two clouds, written piece by piece."""
    path = folder / f"{n}.npy"
    file = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(n, 2))
    random = np.random.default_rng(0)
    for start in range(0, n, 1_000_000):
        size = min(1_000_000, n - start)
        file[start : start + size] = random.normal(size=(size, 2)) + 2 * random.choice([-1, 1], size=(size, 1))
    file.flush()
    return path


def tables(folder: Path, most: float) -> dict[str, Iterator[tuple[str, int, tuple[str, ...]]]]:
    """By name of the table: what varies, its value up to `most`, the words of the command line."""

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
    """A file of n gray 32x32 images of noise, written piece by piece."""
    path = folder / f"images-{n}.npy"
    file = np.lib.format.open_memmap(path, "w+", dtype=np.uint8, shape=(n, 1, 32, 32))
    random = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        size = min(10_000, n - start)
        file[start : start + size] = random.integers(256, size=(size, 1, 32, 32))
    file.flush()
    return path


def measure(words: list[str]) -> None:
    """In a process of its own: seconds until the first step, milliseconds of a step, peak memory in MiB."""
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
    command = [sys.executable, __file__, "--measure", *words]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="batch, width, data, images; default: all")
    parser.add_argument("--up-to", type=int, help="leave out what is larger")
    parser.add_argument("--markdown", type=Path, help="write the tables into this file as well")
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
                found = run(words)
                rate = 1000 * found["batch"] / found["step"]
                cells = (found["ready"], found["step"], found["mib"])
                rows.append((f"{value:,}", *map(number, cells), f"{rate:,.0f}"))
            table = [(name, "seconds to load", "ms a step", "peak MiB", "samples/s"), *rows]
            print("\n".join(columns(table)), end="\n\n", flush=True)
            texts.append(markdown(table))
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
