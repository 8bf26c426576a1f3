"""Compares genlab's families on a table with the packages that people use for tables, by the same measures.

    pip install ctgan                                                     # for ctgan and tvae; copula needs nothing
    python scripts/benchmarks/peers.py adult.csv income autoregressive ctgan tvae copula
    python scripts/benchmarks/peers.py adult.csv income --table           # the table again, from the record
    python scripts/benchmarks/peers.py adult.csv income --readme          # all tables of the record into README.md

Every contender learns from the same training rows on one thread of the CPU and draws 10,000 rows; `genlab evaluate`
judges them all. Models of genlab run as `genlab train model=NAME data=table` with their tuned settings, and presets,
`table_...`, as `genlab train experiment=NAME`; the minutes are those of the processor, start-up, pictures and measures
included. Figures go to peers.jsonl beside this file, a line for
each contender and seed, and the table of means and deviations over seeds is printed as Markdown.

ctgan, tvae: L. Xu, M. Skoularidou, A. Cuesta-Infante, K. Veeramachaneni, "Modeling Tabular data using Conditional GAN",
2019, https://arxiv.org/abs/1907.00503, in the authors' package ctgan with its default settings; as many epochs as
`--minutes` allow, 300 at most. copula: normal scores of each column, words as intervals by their shares, under one
normal distribution (N. Patki, R. Wedge, K. Veeramachaneni, "The Synthetic Data Vault", 2016, https://doi.org/10.1109/DSAA.2016.49).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.data.columns.category import Category
from genlab.data.columns.schema import Schema
from genlab.data.frames.write import arrow, write
from genlab.data.table import Table
from genlab.report.tables import markdown, spread
from genlab.runs.files import write_atomically

HERE = Path(__file__).parent
RECORD = HERE / "peers.jsonl"
PAGE = HERE / "README.md"
BEGIN, END = "<!-- peers: written by scripts/benchmarks/peers.py --readme -->", "<!-- end of peers -->"
PEERS = ("ctgan", "tvae", "copula")
RUNS = Path("outputs/peers")
SAMPLES = 10_000
SHORT = (  # what the README shows
    *("column_ks", "column_tv", "trend_error", "detection_auc", "utility_auc", "out_of_range", "missing_error"),
    *("nearer_to_train", "exact_copies"),
)
COLUMNS = (
    *("column_ks", "column_tv", "trend_error", "detection_auc", "utility_auc", "utility_r2", "alpha_precision"),
    *("beta_recall", "out_of_range", "missing_error", "nearer_to_train", "exact_copies"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="a .csv or .parquet file")
    parser.add_argument("label", help="the column to predict from the others")
    parser.add_argument("names", nargs="*", help=f"models and presets of genlab, and {', '.join(PEERS)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="of one CPU core that a peer may train for")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", default="test", choices=("test", "validation"))
    parser.add_argument("--table", action="store_true", help="only print the table of the record")
    parser.add_argument("--readme", action="store_true", help="only write the tables of the record into README.md")
    chosen = parser.parse_args()
    if chosen.readme:
        write_page()
        return 0
    name = Path(chosen.path).name
    torch.set_num_threads(1)
    for contender in [] if chosen.table else chosen.names:
        for seed in range(chosen.seeds):
            keep(run(contender, seed, chosen, RUNS / name.partition(".")[0] / f"{contender}_{seed}"))
    print(table(name, chosen.split))
    return 0


def run(contender: str, seed: int, chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Trains a contender and judges its samples; returns its line of the record."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [f"data.path={Path(chosen.path).resolve()}", f"data.label={chosen.label}"]
    if contender in PEERS:
        data = Table(chosen.path, chosen.label)
        seconds = peer(contender, seed, data, 60 * chosen.minutes, folder / "samples.csv")
        genlab("evaluate", f"samples={folder / 'samples.csv'}", "data=table", *words, *rest(chosen, folder))
    else:
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        what = [f"experiment={contender}"] if contender.startswith("table_") else [f"model={contender}", "data=table"]
        train = [*what, *words, f"seed={seed}", "trainer.device=cpu"]
        genlab("train", *train, f"hydra.run.dir={folder}")
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        genlab("evaluate", f"run={folder}", f"samples={SAMPLES}", *rest(chosen, folder))
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    measures = {key: row for key, row in report["measures"].items() if key in COLUMNS}
    return {
        "data": Path(chosen.path).name,
        "contender": contender,
        "seed": seed,
        "split": chosen.split,
        "minutes": round(seconds / 60, 2),
        "values": {key: float(f"{row['value']:.5g}") for key, row in measures.items()},
        "floor": {key: float(f"{row['floor']:.5g}") for key, row in measures.items() if row["floor"] is not None},
    }


def rest(chosen: argparse.Namespace, folder: Path) -> list[str]:
    return [f"split={chosen.split}", f"out={folder}", "device=cpu"]


def genlab(*words: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "genlab", *words], check=True, env=environment)


def peer(contender: str, seed: int, data: Table, seconds: float, out: Path) -> float:
    """Trains a peer on the training rows and writes its samples; returns the seconds of training."""
    schema = data.spec.table
    assert schema is not None
    units = data.real("train", len(data))
    torch.manual_seed(seed)
    np.random.seed(seed)
    began = time.process_time()
    if contender == "copula":
        model = Copula(schema, units, seed)
        spent = time.process_time() - began
        write(out, schema, [model.sample(SAMPLES)])
        return spent
    import ctgan  # type: ignore[import-not-found]

    frame = arrow(schema, units).to_pandas()
    words = [column.name for column in schema.columns if isinstance(column, Category)]
    for column in schema.columns:
        if column.name in words:
            frame[column.name] = frame[column.name].astype(object).where(frame[column.name].notna(), column.missing)
        elif frame[column.name].isna().any():
            frame[column.name] = frame[column.name].fillna(frame[column.name].mean())
    kind = ctgan.CTGAN if contender == "ctgan" else ctgan.TVAE
    # The columns are fitted before the first epoch, so the time of an epoch is the difference of two short trainings.
    times = [timed(lambda epochs=epochs: kind(epochs=epochs, enable_gpu=False).fit(frame, words)) for epochs in (1, 3)]
    epoch = max((times[1] - times[0]) / 2, 1e-3)
    began = time.process_time()
    model = kind(epochs=max(1, min(300, int((seconds - times[0]) / epoch))), enable_gpu=False)
    model.fit(frame, words)
    spent = time.process_time() - began
    model.sample(SAMPLES).to_csv(out, index=False)
    return spent


def timed(call: Callable[[], object]) -> float:
    """Returns the seconds of processor time that a call takes."""
    began = time.process_time()
    call()
    return time.process_time() - began


class Copula:
    """A Gaussian copula of a table's columns: words own intervals of ranks in the order of their shares."""

    def __init__(self, schema: Schema, units: torch.Tensor, seed: int) -> None:
        self.schema, self.generator = schema, np.random.default_rng(seed)
        self.values: Any = schema.values(units).numpy()
        scores = []
        for column, values in zip(schema.columns, self.values.T, strict=True):
            order = np.argsort(values + 1e-9 * self.generator.random(len(values)), kind="stable")
            ranks = np.empty(len(values))
            ranks[order] = (np.arange(len(values)) + 0.5) / len(values)
            scores.append(torch.special.ndtri(torch.from_numpy(ranks)).numpy() if column.width else 0 * values)
        self.correlation: Any = np.corrcoef(np.stack(scores) + 1e-12 * self.generator.random((len(scores), len(units))))

    def sample(self, n: int) -> torch.Tensor:
        """Draws n rows in units."""
        z = self.generator.multivariate_normal(np.zeros(len(self.correlation)), self.correlation, n, method="eigh")
        ranks = torch.special.ndtr(torch.from_numpy(z)).numpy()
        places = np.minimum((ranks * int(self.values.shape[0])).astype(int), int(self.values.shape[0]) - 1)
        drawn = np.take_along_axis(np.sort(self.values, axis=0), places, axis=0)
        return torch.cat([c.units(v) for c, v in zip(self.schema.columns, drawn.T, strict=True)], dim=1)


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()] if RECORD.is_file() else []


def keep(line: dict[str, Any]) -> None:
    """Puts a line into the record, in the place of an older one of the same contender and seed."""
    key = ("data", "contender", "seed", "split")
    lines = [old for old in read() if [old[k] for k in key] != [line[k] for k in key]] + [line]
    lines.sort(key=lambda each: tuple(str(each[k]) for k in key))
    write_atomically(RECORD, "".join(f"{json.dumps(each)}\n" for each in lines))


def write_page() -> None:
    """Writes the tables of all files on record, on the test split, between the marks of README.md."""
    names = dict.fromkeys(line["data"] for line in read() if line["split"] == "test")
    tables = [f"**{name}**\n\n{table(name, 'test', SHORT)}" for name in names]
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    write_atomically(PAGE, f"{before}{BEGIN}\n\n" + "\n\n".join(tables) + f"\n\n{END}{after}")


def table(name: str, split: str, columns: tuple[str, ...] = COLUMNS) -> str:
    """The means and deviations of all contenders on one file, with the floor, as Markdown."""
    lines = [line for line in read() if line["data"] == name and line["split"] == split]
    if not lines:
        return f"nothing on record of {name}"
    shown = [key for key in columns if any(key in line["values"] for line in lines)]
    floor = lines[0]["floor"]
    rows = [["", *shown, "minutes", "seeds"]]
    rows.append(["real training rows", *(spread(floor[key], None) if key in floor else "" for key in shown), "", ""])
    for contender in dict.fromkeys(line["contender"] for line in lines):
        own = [line for line in lines if line["contender"] == contender]
        cells = []
        for key in shown:
            values = [line["values"][key] for line in own if key in line["values"]]
            deviation = statistics.stdev(values) if len(values) > 1 else None
            cells.append(spread(statistics.fmean(values), deviation) if values else "")
        minutes = statistics.fmean(line["minutes"] for line in own)
        rows.append([f"`{contender}`", *cells, f"{minutes:.1f}", str(len(own))])
    return markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
