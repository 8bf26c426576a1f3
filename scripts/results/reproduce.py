"""Make the results of the README: train, evaluate, record, write the tables.

    python scripts/results/reproduce.py                   # everything: many hours on a CPU
    python scripts/results/reproduce.py mnist ring_flow   # tables and rows by name; --list shows them
    python scripts/results/reproduce.py --table           # nothing is run: the tables anew, from the record

It may be stopped and started at will: runs go on from their checkpoints, what is finished stays, and a run that was
made by other defaults than today's is named and left alone. Runs are below outputs/reproduce; what was measured goes
into results.jsonl beside this file, a line for each run, from which the tables of README.md are written: afterwards
`git diff` shows your figures beside the ones published here.
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
# Where tables are written, between two marks, and which; None: all.
PAGES: tuple[tuple[Path, tuple[str, ...] | None], ...] = (
    (HERE / "README.md", None),
    (HERE.parents[1] / "README.md", ("mnist",)),
)
RUNS = Path("outputs/reproduce")
BEGIN, END = "<!-- results: written by scripts/results/reproduce.py -->", "<!-- end of results -->"
LOCK = Lock()  # of the record, and of Hydra, which composes one config at a time
# Options of a model that its training knows nothing of.
DRAWING = ("sampler", "sample_steps", "solver", "eta", "likelihood_steps", "likelihood_solver", "bound_variance")
Job = tuple[Row, int]  # a row and one of its seeds


class Runner:
    """Runs jobs, some at a time, each on one thread; a signal is handed on and lets all end in good order."""

    def __init__(self, at_a_time: int) -> None:
        self.at_a_time = at_a_time
        self.stopped = False
        self.processes: list[subprocess.Popen] = []

    def run(self, jobs: Iterable[Job]) -> bool:
        """Train and evaluate what is not yet finished, and record it; whether all went well."""
        for number_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number_, self.stop)
        with ThreadPoolExecutor(self.at_a_time) as threads:
            return all(list(threads.map(self.one, jobs)))

    def stop(self, number_: int, frame: Any) -> None:
        self.stopped = True
        for process in list(self.processes):  # threads take theirs out as they end
            process.send_signal(number_)

    def one(self, job: Job) -> bool:
        row, seed = job
        run = folder(source(row), seed)
        begun = (run / "config.yaml").is_file()
        other = changed(source(row), seed) if begun else {}
        if any(key.rpartition(".")[2] not in DRAWING for key in other):
            found = "; ".join(f"{key} {was}, now {now}" for key, (was, now) in other.items())
            line = f"{run} was trained with other settings ({found}): move it away to train anew"
            print(f"failed: {line}", file=sys.stderr)
            return False
        its, out = evaluation(row).evaluate, folder(evaluation(row), seed)
        drawing = [f"{key}={now}" for key, (_, now) in other.items() if f"{key}=" not in its]
        out = out.with_name("_".join([out.name, *drawing]).replace("=", "_"))
        if not finished(run):
            words = [f"resume={run}"] if begun else [*shlex.split(row.train), f"seed={seed}", f"hydra.run.dir={run}"]
            if not self.call(["train", *words], run):
                return False
        if not (out / "evaluation.json").is_file():
            words = [f"run={run}", *drawing, *shlex.split(its)]
            words += [f"out={out}"] if out != run else []
            if not self.call(["evaluate", *words], out):
                return False
        keep(job, measured(job, out) | {"together": self.at_a_time})
        return True

    def call(self, words: list[str], target: Path) -> bool:
        """`genlab WORDS`, what it prints in `target`/reproduce.log; whether it went well."""
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
                process_group=0,  # else Ctrl-C on the terminal reaches it twice
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
    """Settings of a row's run that its command would give another value now: {"model.z_dim": (20, 10)}.

    Defaults move on, and a table must not hold figures of one recipe beside the command of another.
    """
    with LOCK:
        config = compose("train", [*shlex.split(row.train), f"seed={seed}"])
    now, was = dict(flatten(OmegaConf.to_container(config))), History(folder(row, seed)).settings
    keys = [key for key in was if key in now and key != "name"]  # an older run lacks the options that came later
    return {key: (was[key], now[key]) for key in keys if was[key] != now[key]}


def measured(job: Job, evaluated: Path) -> dict[str, Any]:
    """What is kept of a finished run: its figures, and on what they were made."""
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
    """Put a job's line into the record, in the place of an older one; the lines in the order of the tables."""
    place = {name: i for i, name in enumerate(ROWS)}
    with LOCK:
        record = {**read(), (job[0].name, job[1]): found}
        keys = sorted(record, key=lambda key: (place.get(key[0], len(place)), key[1]))
        write_atomically(RECORD, "".join(f"{json.dumps(record[key])}\n" for key in keys))


def write_readme(record: Record) -> None:
    """Put the tables between the two marks of each page.

    Raises:
        UserError: the marks are not there.
    """
    for page, names in PAGES:
        text = page.read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            raise UserError(f"{page} has no place for results, between '{BEGIN}' and '{END}'")
        before, rest = text.split(BEGIN, 1)
        shown = [table for table in TABLES if names is None or table.name in names]
        tables = "\n".join(filter(None, (section(table, record, short=names is not None) for table in shown)))
        page.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def chosen(names: list[str]) -> list[Row]:
    """The rows or tables of these names, all without a name, and before each row the one whose run it evaluates.

    Raises:
        UserError: no such name.
    """
    tables = {table.name: table.rows for table in TABLES}
    for name in names:
        choose("name", name, (*tables, *ROWS))
    found = [row for name in names or tables for row in tables.get(name, (ROWS.get(name),)) if row]
    return list(dict.fromkeys(each for row in found for each in (source(row), row)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="tables or rows; all without")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="runs at a time")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each row, by seeds from 0")
    parser.add_argument("--list", action="store_true", help="show what there is")
    parser.add_argument("--table", action="store_true", help="write the tables from the record, run nothing")
    options = parser.parse_args()
    try:
        rows = chosen(options.names)
        if options.list:
            for table in TABLES:
                print(f"{table.name}: {table.title}")
                print("".join(f"  {row.name:24} {row.train or f'of {row.of}'}\n" for row in table.rows), end="")
            return 0
        well = True
        if not options.table:
            jobs = [(row, seed) for row in rows for seed in range(options.seeds)]
            runner = Runner(options.jobs)
            # Evaluations of other rows' runs come when these have ended.
            well = runner.run(j for j in jobs if not j[0].of) and runner.run(j for j in jobs if j[0].of)
        write_readme(read())
    except UserError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
