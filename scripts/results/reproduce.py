"""Reproduces the results of the README: trains, evaluates, records, and writes the tables.

    python scripts/results/reproduce.py                   # everything: many hours on a CPU
    python scripts/results/reproduce.py mnist ring_flow   # tables and rows by name; --list shows them
    python scripts/results/reproduce.py --table           # run nothing, only rewrite the tables from the record

The script can be stopped and restarted at any time: runs continue from their checkpoints, finished runs are kept, and a
run made with defaults that have changed since is named and left alone. Runs are below outputs/reproduce; results are
recorded in results.jsonl beside this file, a line for each run, and the tables of README.md are written from it:
afterwards `git diff` shows your figures next to the published ones.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import check_reference
from omegaconf import OmegaConf
from rows import ROWS, TABLES, Row, evaluation, source
from sections import Record, section

from genlab.config.compose import compose
from genlab.errors import UserError, choose
from genlab.runs.files import write_atomically
from genlab.runs.history import History, flatten

HERE = Path(__file__).parent
RECORD = HERE / "results.jsonl"
# Pages that hold tables between two marks, and the names of their tables; None: all.
PAGES: tuple[tuple[Path, tuple[str, ...] | None], ...] = (
    (HERE / "README.md", None),
    (HERE.parents[1] / "README.md", ("mnist",)),
)
RUNS = Path("outputs/reproduce")
BEGIN, END = "<!-- results: written by scripts/results/reproduce.py -->", "<!-- end of results -->"
LOCK = Lock()  # for the record, and for Hydra, which composes one config at a time
# Options of a model that do not affect its training.
DRAWING = ("sampler", "sample_steps", "solver", "eta", "likelihood_steps", "likelihood_solver", "bound_variance")
Job = tuple[Row, int]  # a row and one of its seeds


class Runner:
    """A runner of several jobs at a time, one thread each; it passes signals on, so that all jobs stop cleanly."""

    def __init__(self, at_a_time: int) -> None:
        self.at_a_time = at_a_time
        self.stopped = False
        self.processes: list[subprocess.Popen] = []

    def run(self, jobs: Iterable[Job]) -> bool:
        """Trains, evaluates and records the jobs that are not yet finished; returns whether all succeeded."""
        for number_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number_, self.stop)
        with ThreadPoolExecutor(self.at_a_time) as threads:
            return all(list(threads.map(self.one, jobs)))

    def stop(self, number_: int, frame: Any) -> None:
        self.stopped = True
        for process in list(self.processes):  # other threads remove theirs as they end
            process.send_signal(number_)

    def one(self, job: Job) -> bool:
        """Trains and evaluates a job and records the result; returns whether it succeeded."""
        row, seed = job
        run = folder(source(row), seed)
        begun = (run / "config.yaml").is_file()
        other = changed(source(row), seed) if begun else {}
        if any(key.rpartition(".")[2] not in DRAWING for key in other):
            changes = "; ".join(f"{key} {was}, now {now}" for key, (was, now) in other.items())
            line = f"{run} was trained with other settings ({changes}): move it away to train again"
            print(f"failed: {line}", file=sys.stderr)
            return False
        options, out = evaluation(row).evaluate, folder(evaluation(row), seed)
        drawing = [f"{key}={now}" for key, (_, now) in other.items() if f"{key}=" not in options]
        out = out.with_name("_".join([out.name, *drawing]).replace("=", "_"))
        if not finished(run):
            words = [f"resume={run}"] if begun else [*shlex.split(row.train), f"seed={seed}", f"hydra.run.dir={run}"]
            if not self.call(["train", *words], run):
                return False
        if not (out / "evaluation.json").is_file():
            words = [f"run={run}", *drawing, *shlex.split(options)]
            words += [f"out={out}"] if out != run else []
            if not self.call(["evaluate", *words], out):
                return False
        keep(job, measured(job, out) | {"together": self.at_a_time})
        return True

    def call(self, words: list[str], target: Path) -> bool:
        """Runs `genlab WORDS` with its output in `target`/reproduce.log; returns whether it succeeded."""
        if self.stopped:
            return False
        target.mkdir(parents=True, exist_ok=True)
        print("genlab", *words, flush=True)
        with open(target / "reproduce.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "genlab", *words],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                process_group=0,  # otherwise Ctrl-C on the terminal reaches it twice
            )
            self.processes.append(process)
            code = process.wait()
            self.processes.remove(process)
        if code and not self.stopped:
            print(f"failed: genlab {' '.join(words)}: see {target / 'reproduce.log'}", file=sys.stderr)
        return code == 0


def folder(row: Row, seed: int) -> Path:
    return RUNS / row.name / f"seed_{seed}"


def finished(run: Path) -> bool:
    return (run / "config.yaml").is_file() and History(run).status.get("status") == "finished"


def changed(row: Row, seed: int) -> dict[str, tuple[Any, Any]]:
    """Returns the settings of a row's run that its command would set differently now: {"model.z_dim": (20, 10)}.

    Defaults change, and a table must not show the figures of one recipe next to the command of another.
    """
    with LOCK:
        config = compose("train", [*shlex.split(row.train), f"seed={seed}"])
    now, was = dict(flatten(OmegaConf.to_container(config))), History(folder(row, seed)).settings
    keys = [key for key in was if key in now and key != "name"]  # an older run lacks newer options
    return {key: (was[key], now[key]) for key in keys if was[key] != now[key]}


def measured(job: Job, evaluated: Path) -> dict[str, Any]:
    """Returns the record of a finished run: its figures, and the machine they were made on."""
    row, seed = job
    run = History(folder(source(row), seed))
    report = json.loads((evaluated / "evaluation.json").read_text(encoding="utf-8"))
    environment = json.loads(run.run.environment.read_text(encoding="utf-8"))
    speed = run.result["samples_per_s"]
    return {
        "row": row.name,
        "seed": seed,
        "values": {name: rounded(found["value"]) for name, found in report["measures"].items()}
        | {"seconds": rounded(report["seconds"].get("sampling", 0.0))},
        "errors": {n: rounded(found["error"]) for n, found in report["measures"].items() if found["error"]},
        "floor": {n: rounded(found["floor"]) for n, found in report["measures"].items() if found["floor"] is not None},
        "samples": report["samples"],
        "net": (report["net"] or {}).get("fingerprint"),
        "parameters": report["parameters"],
        "steps": report["step"],
        "samples_per_s": rounded(speed),
        "minutes": rounded(report["step"] * run.settings["trainer.batch_size"] / speed / 60),
        "device": environment["device_name"],
        "threads": environment["threads"],
        "torch": environment["torch"],
        "commit": (environment.get("source") or {}).get("commit"),
        "published": [list(found) for found in check_reference.check(run)] if not row.of else [],
    }


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def read() -> Record:
    lines = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.is_file() else []
    return {(line["row"], line["seed"]): line for line in map(json.loads, lines)}


def keep(job: Job, found: dict[str, Any]) -> None:
    """Adds a job's line to the record, replacing an older one; lines are sorted in the order of the tables."""
    place = {name: i for i, name in enumerate(ROWS)}
    with LOCK:
        record = {**read(), (job[0].name, job[1]): found}
        keys = sorted(record, key=lambda key: (place.get(key[0], len(place)), key[1]))
        write_atomically(RECORD, "".join(f"{json.dumps(record[key])}\n" for key in keys))


def write_readme(record: Record) -> None:
    """Writes the tables between the two marks of each page.

    Raises:
        UserError: a page does not have the marks.
    """
    for page, names in PAGES:
        text = page.read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            raise UserError(f"{page} needs the lines '{BEGIN}' and '{END}' around its results")
        before, rest = text.split(BEGIN, 1)
        shown = [table for table in TABLES if names is None or table.name in names]
        tables = "\n".join(filter(None, (section(table, record, short=names is not None) for table in shown)))
        page.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def chosen(names: list[str]) -> list[Row]:
    """Returns the rows or tables with these names (default: all), each row after the one whose run it evaluates.

    Raises:
        UserError: there is no row or table with a given name.
    """
    tables = {table.name: table.rows for table in TABLES}
    for name in names:
        choose("name", name, (*tables, *ROWS))
    rows = [row for name in names or tables for row in tables.get(name, (ROWS.get(name),)) if row]
    return list(dict.fromkeys(needed for row in rows for needed in (source(row), row)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of tables or rows; default: all")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="runs at a time")
    parser.add_argument("--seeds", type=int, default=3, help="runs per row, with seeds from 0")
    parser.add_argument("--list", action="store_true", help="list tables and rows")
    parser.add_argument("--table", action="store_true", help="only write the tables from the record")
    options = parser.parse_args()
    try:
        rows = chosen(options.names)
        if options.list:
            for table in TABLES:
                print(f"{table.name}: {table.title}")
                print("".join(f"  {row.name:24} {row.train or f'of {row.of}'}\n" for row in table.rows), end="")
            return 0
        succeeded = True
        if not options.table:
            jobs = [(row, seed) for row in rows for seed in range(options.seeds)]
            runner = Runner(options.jobs)
            # Rows that evaluate another row's run come after all training.
            succeeded = runner.run(j for j in jobs if not j[0].of) and runner.run(j for j in jobs if j[0].of)
        write_readme(read())
    except UserError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
