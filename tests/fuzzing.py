"""Inputs and checks shared by the fuzz tests and `scripts/robustness/fuzz.py`; Hypothesis draws the inputs.

The rule that every command must keep: exit code 0, 1 or 2; if it is not 0, one line on stderr that starts with
"genlab: "; no traceback; finished within seconds; nothing written outside the run folder.
"""

import io
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torchvision.datasets  # noqa: F401 (imported before memory is limited)
from hypothesis import HealthCheck
from hypothesis import strategies as st

import genlab.commands.resume
import genlab.commands.sample
import genlab.plots.snapshots
import genlab.runs.tracker  # noqa: F401
from genlab.cli import main

OLD = Path(__file__).parent / "old_runs" / "format_1"
SECONDS = 60  # longer is a hang; the slowest legitimate answer takes one or two, more on a busy machine
QUICK = (
    "trainer.device=cpu",
    "trainer.batch_size=4",
    "trainer.sample_every=0",
    "trainer.evaluate_every=0",
    "data.n=20",
)


UNHURRIED: list[HealthCheck] = list(HealthCheck)  # type: ignore[arg-type]


class Broken(AssertionError):
    """Raised when a command breaks the rule."""


@contextmanager
def limit(seconds: int):
    def late(*_: object) -> None:
        raise Broken(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def little_memory():
    """Allows 2 GiB more than now: input that asks for a thousand times as much must be refused."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def answer(arguments: list[str], home: Path) -> str:
    """Runs `genlab ARGUMENTS` in `home`; returns "accepted" or "refused".

    Raises:
        Broken: the command broke the rule.
    """
    before, out, err = tree(home), io.StringIO(), io.StringIO()
    here = Path.cwd()
    os.chdir(home)
    try:
        with limit(SECONDS), little_memory(), redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
    except BaseException as error:
        raise Broken(f"{arguments}: {type(error).__name__}: {str(error)[:300]}") from error
    finally:
        os.chdir(here)
    text = err.getvalue()
    if code not in (0, 1, 2) or "Traceback" in text:
        raise Broken(f"{arguments}: exit code {code}: {text[:500]}")
    if code and (not text.startswith("genlab: ") or text.count("\n") != 1):
        raise Broken(f"{arguments}: exit code {code} with {text[:500]!r}")
    new = {path for path in tree(home) - before if path.split("/")[0] not in ("run", "outputs")}
    if new:
        raise Broken(f"{arguments}: wrote {sorted(new)}")
    return "refused" if code else "accepted"


def fresh(home: Path) -> Path:
    """Empties `home`, copies an intact run folder into it, and returns that folder."""
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Path(shutil.copytree(OLD, home / "run"))


# Values and keys: sensible ones, edge cases, and nonsense.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
VALUE = st.one_of(
    st.sampled_from(["0", "-1", "1", "2", "1e-3", "null", "true", "''", "[]", "{}", "[1,2]", "{a: 1}", "nan", "inf"]),
    st.sampled_from(["1e400", "-1e400", "99999999999999999999", "${oc.env:HOME}", "${seed}", "${nothing}", "???"]),
    st.sampled_from(["auto", "cpu", "mlp", "dcgan", "relu", "gan", "vae", "mnist_vae", "0x10", "1_000", "é", "a b"]),
    st.integers(-3, 40).map(str),
    TEXT,
)
KEYS = """
    model data trainer seed name resume experiment trainer.steps trainer.epochs trainer.max_minutes
    trainer.accumulate trainer.batch_size trainer.clip_grad_norm trainer.schedule trainer.warmup
    trainer.decay_steps trainer.decay_to trainer.ema trainer.device trainer.precision trainer.execution
    trainer.deterministic trainer.log_every trainer.keep trainer.sample_every trainer.evaluate_every
    trainer.checkpoint_every trainer.monitor trainer.mode trainer._target_ trainer.on_collapse model.z_dim
    model.encoder model.encoder.hidden model.encoder.activation model.encoder.norm model.encoder.net
    model.encoder.width model.encoder._target_ model._target_ data._target_ data.kind data.n data.seed
    data.other optimizer optimizer.model optimizer.model.lr optimizer.model.betas optimizer.model._target_ +new
    +trainer.new ~data ~model.z_dim ++model.encoder._args_ +model._partial_ hydra.run.dir
"""
KEY = st.sampled_from(KEYS.split())
OVERRIDE = st.one_of(st.builds("{}={}".format, KEY, VALUE), TEXT.filter(lambda text: not text.startswith("-")))


def check_overrides(overrides: list[str], home: Path) -> str:
    """Runs `genlab train` with these overrides: composes the config and, if that succeeds, trains two steps."""
    fresh(home)
    # Overrides that take long for good reason, or read real files, are removed.
    small = ["model=autoencoder", "trainer.steps=2", *QUICK, "hydra.run.dir=run/new"]
    kept = [override for override in overrides if not override.startswith(("experiment", "data=", "hydra.run.dir"))]
    return answer(["train", *small, *kept, *early_end(kept)], home)


def early_end(overrides: list[str]) -> list[str]:
    """Returns overrides that end a run early, however long it is asked to take."""
    if any("max_minutes" in override for override in overrides):
        return ["trainer.steps=6", "trainer.epochs=null"]
    return ["trainer.max_minutes=0.02"]


def check_resume(overrides: list[str], home: Path) -> str:
    """Runs `genlab train resume=run` with these overrides."""
    fresh(home)
    return answer(["train", "resume=run", "trainer.steps=6", *overrides, *early_end(overrides)], home)


PIECE = st.one_of(
    st.binary(max_size=8), st.sampled_from([b"[", b"{", b"&a ", b"*a", b"${seed}", b"\0", b"\n- ", b"!!"])
)
DAMAGE = st.lists(st.tuples(st.sampled_from(["cut", "flip", "insert", "drop"]), st.floats(0, 1), PIECE), max_size=4)


def damaged(data: bytes, damage: list[tuple[str, float, bytes]]) -> bytes:
    """Returns the bytes after each damage: cut short, flipped, inserted or dropped at a relative position."""
    for kind, where, piece in damage:
        at = int(where * max(0, len(data) - 1))
        if kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "drop":
            data = data[:at] + data[at + len(piece) :]
        elif data:
            data = data[:at] + bytes([data[at] ^ (piece[0] if piece else 1)]) + data[at + 1 :]
    return data


VERBS = st.sampled_from([["train", "resume=run", "trainer.steps=6"], ["sample", "run=run", "n=2", "device=cpu"]])


def check_of_file(name: str) -> Callable[[tuple[list, list[str]], Path], str]:
    """Returns a check that damages the bytes of one file of a run folder and runs a command on it."""

    def check(case: tuple[list, list[str]], home: Path) -> str:
        run, (damage, verb) = fresh(home), case
        (run / "metrics.jsonl").write_text('{"step": 2, "train/model/loss": 0.5}\n{"step": 4}\n')
        (run / name).write_bytes(damaged((run / name).read_bytes(), damage))
        return answer(verb, home)

    return check


LEAF = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXT, st.just("${oc.env:HOME}"))
NODE = st.recursive(LEAF, lambda n: st.lists(n, max_size=3) | st.dictionaries(TEXT, n, max_size=3), max_leaves=8)
CONFIG_KEY = KEY.filter(lambda key: key[0] not in "+~" and "hydra" not in key)


def check_config_values(case: tuple[list[tuple[str, Any]], list[str]], home: Path) -> str:
    """Runs a command on a run whose config is valid YAML with arbitrary values in place of its own."""
    from omegaconf import OmegaConf

    run, (changes, verb) = fresh(home), case
    plain: Any = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))
    for key, value in changes:
        node, *rest = [plain, *key.split(".")]
        for word in rest[:-1]:
            node = node.get(word) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[rest[-1]] = value
    (run / "config.yaml").write_text(json.dumps(plain))
    return answer(verb, home)


def check_state_values(case: tuple[list[tuple[str, Any]], list[str]], home: Path) -> str:
    """Runs a command on a run whose checkpoint has correct checksums and wrong contents."""
    import torch

    run, (changes, verb) = fresh(home), case
    path = run / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    for key, value in changes:
        node, *rest = [state, *key.split("/")]
        for word in rest[:-1]:
            node = node.get(word) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[rest[-1]] = value
    torch.save(state, path)
    return answer(verb, home)


STATE_KEYS = """
    format step seed spec family ema optimizers optimizers/model optimizers/model/state
    optimizers/model/param_groups meter meter/values meter/steps best collapse new family/encoder.0.weight
"""
STATE_KEY = st.sampled_from(STATE_KEYS.split())


def check_idx(case: tuple[str, bytes], home: Path) -> str:
    """Runs `genlab prepare` on an MNIST file of arbitrary bytes."""
    fresh(home)
    name, data = case
    raw = home / "run" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / name).write_bytes(data)
    return answer(["prepare", "data=mnist", "data.root=run"], home)


IDX = st.tuples(
    st.sampled_from([f"{a}-{b}" for a in ("train", "t10k") for b in ("images-idx3-ubyte", "labels-idx1-ubyte")]),
    st.builds(bytes.__add__, st.sampled_from([b"", b"\0\0\x08\x03", b"\0\0\x08\x01"]), st.binary(max_size=40)),
)

KINDS: dict[str, tuple[Any, Callable[[Any, Path], str]]] = {
    "overrides": (st.lists(OVERRIDE, max_size=3), check_overrides),
    "resume": (st.lists(OVERRIDE, max_size=3), check_resume),
    "config bytes": (st.tuples(DAMAGE, VERBS), check_of_file("config.yaml")),
    "config values": (st.tuples(st.lists(st.tuples(CONFIG_KEY, NODE), max_size=3), VERBS), check_config_values),
    "checkpoint bytes": (st.tuples(DAMAGE, VERBS), check_of_file("checkpoints/last.pt")),
    "checkpoint values": (st.tuples(st.lists(st.tuples(STATE_KEY, NODE), max_size=3), VERBS), check_state_values),
    "metrics.jsonl": (st.tuples(DAMAGE, VERBS), check_of_file("metrics.jsonl")),
    "IDX": (IDX, check_idx),
}

__all__ = ["KINDS", "UNHURRIED", "Broken", "answer", "fresh"]
