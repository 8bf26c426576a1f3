"""`genlab train`: builds what the config names, trains it and writes a run folder."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from genlab.commands import ranks
from genlab.commands.environment import environment
from genlab.commands.failure import before_training, failure
from genlab.commands.signals import Signals
from genlab.config import build
from genlab.data.files import note
from genlab.errors import Interrupted, UserError, choose
from genlab.evaluation import NETS
from genlab.runs.folder import Run
from genlab.runs.history import flatten

if TYPE_CHECKING:
    import numpy as np

    from genlab.models.base import Family
    from genlab.trainer.loop import Result, Trainer
    from genlab.trainer.options import Options

CLASSES = 20  # at most, printed at the start


def train(config: DictConfig, folder: Path) -> float | None:
    """Train what `config` describes in `folder`; returns the best value of the monitored measure.

    Raises:
        UserError: something in the config is wrong, or the folder already holds a run.
        RunFailed, Interrupted: as in `execute`.
    """
    run = Run(folder)
    with ranks.lock(run):  # if two processes are given the same folder at once, one is refused
        if run.config.exists() and ranks.is_first():
            raise UserError(f"{folder} already holds a run: continue it with resume={folder}, or choose another folder")
        return execute(run, config)


def execute(run: Run, config: DictConfig, state: dict[str, Any] | None = None) -> float | None:
    """Train what `config` describes in a locked folder.

    Args:
        state: the checkpoint to resume from.

    Raises:
        UserError: something in the config is wrong; a run folder that is still empty is removed.
        RunFailed: the loss is not finite, memory runs out, or a file cannot be written.
        Interrupted: SIGINT or SIGTERM came; the step was finished and a checkpoint written.
    """
    signals = Signals()
    try:
        options = build.options(config)
        choose("net", str(config.get("net", "auto")), NETS)
        build.anchor(config)
        if options.devices > 1 and not ranks.member():
            return ranks.launch(execute, run, config, resumed=state is not None)  # runs this function in each rank
        ranks.join(options)
        trainer = assemble(config, options, run, signals.received)
        if state is not None:
            trainer.load_state_dict(state)
    except Exception as error:
        raise before_training(run, error) from error
    if not ranks.is_first():
        return ranks.follow(trainer, run)
    if trainer.step >= trainer.steps:
        print(f"{run.folder} is at step {trainer.step} of {trainer.steps}: raise trainer.steps to continue")
        return trainer.best.found[0] if trainer.best.found else None
    with signals:
        try:
            if run.config.exists():  # a resumed run
                # config.yaml describes the checkpoints, so a changed config is written with the next checkpoint.
                trainer.saving = cache(lambda: run.write_config(config))  # once
            else:
                run.write_config(config)
            build.keep_parts(run, config, trainer.family)
            run.write_environment(environment(trainer))
            run.write_status("running")
            for line in trainer.data.notes:
                note(line)
            lines = [describe(trainer), *classes(trainer), str(trainer.execution), f"run folder: {run.folder}"]
            print("\n".join(lines), flush=True)
            result = trainer.fit()
            trainer.saving()  # in case no checkpoint was written
            return finish(run, trainer, result, signals.number)
        except Interrupted:
            raise
        except Exception as error:
            raise failure(run, trainer, error) from error


def assemble(config: DictConfig, options: "Options", run: Run, stop: Callable[[], str]) -> "Trainer":
    """Builds data, model, optimizers and trainer from the config."""
    import torch

    from genlab.evaluation.nets import net_of_training
    from genlab.evaluation.training import evaluator
    from genlab.metrics.attempts import attempt
    from genlab.plots.projector import write_codes
    from genlab.plots.snapshots import snapshot
    from genlab.trainer import device
    from genlab.trainer.loop import Trainer

    if not isinstance(config.seed, int) or not -(2**63) <= config.seed < 2**63:
        raise UserError(f"seed: {config.seed!r} is not an integer of 64 bits")
    where = device.resolve(options.device)  # refuses a wrong device before any data are read
    data = build.data(config)
    net = None
    if options.evaluate_every and "net" in config and ranks.is_first():
        net, hint = net_of_training(str(config.net), data, config.data.get("root"), where, options.monitor)
        if hint:
            print(hint)
    torch.manual_seed(config.seed)
    left_out: dict[str, str] = {}

    def show(family: "Family") -> "dict[str, np.ndarray]":
        shown = snapshot(family, data, reasons=left_out)
        attempt("projector", lambda: write_codes(run.folder, family, data), left_out)
        return shown

    return Trainer(
        build.family(config, data.spec, run),
        data,
        build.optimizers(config),
        options,
        seed=config.seed,
        folder=run.folder,
        evaluate=evaluator(data, where, config.seed, net, left_out),
        snapshot=show,
        left_out=left_out,
        stop=stop,
        notes={"config": "\n".join(f"    {line}" for line in OmegaConf.to_yaml(config, resolve=True).splitlines())},
        settings=dict(flatten(OmegaConf.to_container(config, resolve=True))),
    )


def finish(run: Run, trainer: "Trainer", result: "Result", number: int) -> float | None:
    """Write status.json and result.json and print the summary line; returns the best monitored value.

    Raises:
        Interrupted: the run was ended by signal `number`, which is not 0.
    """
    run.write_status("interrupted" if number else "finished", result.reason, step=result.step)
    followed = {"measure": trainer.best.monitor, "better": trainer.best.better}
    best = result.best and {**followed, "value": result.best[0], "step": result.best[1]}
    run.write_result({**result._asdict(), "best": best})
    print(f"{summary(trainer, result)}\nrun folder: {run.folder}", flush=True)
    if number:
        raise Interrupted(
            f"{result.reason} after step {result.step}; resume with: genlab train resume={run.folder}", number
        )
    return result.best[0] if result.best else None


def describe(trainer: "Trainer") -> str:
    """Returns one line on what is about to be trained."""
    parameters = sum(p.numel() for p in trainer.family.parameters())
    size = "x".join(map(str, trainer.data.spec.shape))
    model = type(trainer.family).__name__
    return (
        f"{model} ({parameters:,} parameters) on {trainer.data.name} ({len(trainer.data):,} samples of {size}), "
        f"step {trainer.step} to {trainer.steps} on {trainer.device}"
    )


def classes(trainer: "Trainer") -> list[str]:
    """Returns a line with the classes and their training samples; none for data without labels or points of modes."""
    spec = trainer.data.spec
    if not spec.counts or not (spec.labels or spec.only("pixel")):
        return []
    shown = [f"{spec.class_name(k)} {n:,}" for k, n in enumerate(spec.counts[:CLASSES])]
    more = [f"and {len(spec.counts) - CLASSES} more"] * (len(spec.counts) > CLASSES)
    return [f"classes: {', '.join(shown + more)}"]


def summary(trainer: "Trainer", result: "Result") -> str:
    """Returns one line on the result: measures in words, and the speed."""
    measures, parts = result.measures, []
    truth = trainer.data.truth
    if "eval/modes" in measures and truth:
        parts.append(f"{measures['eval/modes']:.0f} of {len(truth.modes)} modes covered")
        parts.append(f"{100 * measures['eval/high_quality']:.1f} % of samples within 3σ of a mode")
    if "eval/sliced_w2" in measures:
        parts.append(f"sliced W2 {measures['eval/sliced_w2']:.3g}")
    if "eval/translation_error" in measures:
        error, still = measures["eval/translation_error"], measures["eval/identity_error"]
        parts.append(f"translation error {error:.3g} (doing nothing: {still:.3g})")
    if "eval/effective_sample_size" in measures:
        parts.append(f"effective sample size {100 * measures['eval/effective_sample_size']:.1f} %")
    if "eval/free_energy_difference" in measures:
        difference, error = measures["eval/free_energy_difference"], measures["eval/free_energy_error"]
        parts.append(f"free-energy difference {difference:.3f} kT (off by {error:.3f})")
    if "eval/loss" in measures:
        parts.append(f"validation loss {measures['eval/loss']:.4g}")
    parts.append(f"{result.samples_per_s:,.0f} samples/s")
    ended = "" if result.reason == "steps" else f", ended by {ENDINGS.get(result.reason, result.reason)}"
    return f"step {result.step} of {trainer.steps} in {result.seconds:.0f} s{ended}: " + ", ".join(parts)


ENDINGS = {"max_minutes": "trainer.max_minutes", "patience": "trainer.patience"}
