"""`genlab train`: build what the config names, train it, leave a run folder; `resume=RUN` goes on with one."""

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from genlab import build
from genlab.errors import Interrupted, RunFailed, UserError, brief
from genlab.run import Run

if TYPE_CHECKING:
    import torch

    from genlab.data.base import Dataset
    from genlab.models.base import Family
    from genlab.trainer.loop import Result, Trainer
    from genlab.trainer.options import Options

MEASURED = 5000  # samples for the measures of the training loop; a fifth of it for images
OWN_MEASURES = 100_000  # for what a family measures of itself


def train(config: DictConfig, folder: Path, state: dict[str, Any] | None = None) -> float | None:
    """Train what `config` describes in `folder`; return the best value of the monitored measure.

    Args:
        state: of the checkpoint to go on from.

    Raises:
        UserError: something in the config is wrong; a run folder that is still empty is removed.
        RunFailed: the loss is not finite, or the disk does not take what must be written.
        Interrupted: SIGINT or SIGTERM came; the step was finished and a checkpoint written.
    """
    run = Run(folder)
    signals = Signals()
    if state is None and run.config.exists():
        raise UserError(f"{folder} holds a run already: go on with resume={folder}, or choose another folder")
    try:
        options = build.options(config)
        trainer = assemble(config, options, run, signals.received)
        if state is not None:
            trainer.load_state_dict(state)
    except UserError:
        run.discard()
        raise
    if trainer.step >= trainer.steps:
        print(f"{folder} is at step {trainer.step} of {trainer.steps}: raise trainer.steps to go on")
        return trainer.best.found[0] if trainer.best.found else None
    with run.lock(), signals:
        run.write_config(config)
        run.write_status("running")
        print(f"{describe(trainer)}\n{trainer.execution}\nrun folder: {folder}", flush=True)
        try:
            result = trainer.fit()
        except Exception as error:
            raise failure(run, trainer, error) from error
        return finish(run, trainer, result, signals.number)


def resume(arguments: list[str]) -> None:
    """`genlab train resume=RUN key=value ...`: the run's own config with these changes, from its last checkpoint.

    Raises:
        UserError: no such run, or an override that its config does not have.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from genlab.explain import unknown_option

    try:
        overrides = OverridesParser.create().parse_overrides(arguments)
    except HydraException as error:
        raise UserError(f"resume takes key=value only: {str(error).splitlines()[0]}") from error
    values = {each.key_or_group: each.value() for each in overrides}
    run = Run.open(str(values.pop("resume")))
    config = run.read_config()
    for key, value in values.items():
        if isinstance(OmegaConf.select(config, key), DictConfig) and not isinstance(value, dict):
            raise UserError(f"{key}: a resumed run keeps its {key}; start a new run to change it")
        try:
            OmegaConf.update(config, key, value)
        except OmegaConfBaseException as error:
            raise UserError(unknown_option(key, config)) from error
    if "trainer.steps" in values and "trainer.epochs" not in values:
        config.trainer.epochs = None  # of the run so far; it would take the place of the new steps
    build.options(config)  # wrong words are refused before torch is imported

    from genlab.trainer import checkpoint

    train(config, run.folder, checkpoint.read(checkpoint.find(run.checkpoints, "last")))


def assemble(config: DictConfig, options: "Options", run: Run, stop: Callable[[], str]) -> "Trainer":
    """Data, model, optimizers and trainer as the config names them."""
    import torch

    from genlab.pictures import snapshot
    from genlab.trainer import device
    from genlab.trainer.loop import Trainer

    if not isinstance(config.seed, int):
        raise UserError(f"seed: {config.seed!r} is not an integer")
    where = device.resolve(options.device)  # refused before any data is read
    data = build.data(config)
    torch.manual_seed(config.seed)
    return Trainer(
        build.family(config, data.spec),
        data,
        build.optimizers(config),
        options,
        seed=config.seed,
        folder=run.folder,
        evaluate=evaluator(data, where, config.seed),
        snapshot=lambda family: snapshot(family, data),
        stop=stop,
        notes={"config": "\n".join(f"    {line}" for line in OmegaConf.to_yaml(config, resolve=True).splitlines())},
    )


def evaluator(data: "Dataset", where: "torch.device", seed: int) -> "Callable[[Family], dict[str, float]]":
    """The measures of the training loop: of samples against the validation split, in data units."""
    import torch

    from genlab.data.pairs import Pairs
    from genlab.metrics import suite
    from genlab.metrics.translation import translation
    from genlab.models.base import Measured, Sampler, Translator, round_trip
    from genlab.trainer import device

    count = min(MEASURED // 5 if data.spec.is_image else MEASURED, len(data.splits["validation"].x))
    mixture = getattr(data, "mixture", None)
    known = (mixture.modes, mixture.sigma) if mixture else ()

    @torch.no_grad()
    def evaluate(family: "Family") -> dict[str, float]:
        device.seed(where, seed)
        if isinstance(family, Translator) and isinstance(data, Pairs):
            batch = data.head("validation", count)
            there, back = round_trip(family, batch["a"])
            truth = data.decode(data.transform(batch["a"])) if data.known else None
            a, b = data.decode(batch["a"]), data.decode(batch["b"])
            return translation(a, data.decode(there), data.decode(back), b, truth)
        if isinstance(family, Measured):
            return {f"eval/{name}": value for name, value in family.measures(OWN_MEASURES).items()}
        if not isinstance(family, Sampler):
            return {}
        return suite.quick(data.decode(family.sample(count)), data.real("validation", count), *known)

    return evaluate


def finish(run: Run, trainer: "Trainer", result: "Result", number: int) -> float | None:
    """Write status.json and result.json, print the summary line; return the best monitored value.

    Raises:
        Interrupted: the run was ended by signal `number`; 0 is none.
    """
    run.write_status("interrupted" if number else "finished", result.reason, step=result.step)
    best = result.best and {"value": result.best[0], "step": result.best[1]}
    run.write_result({**result._asdict(), "best": best})
    print(f"{summary(trainer, result)}\nrun folder: {run.folder}", flush=True)
    if number:
        raise Interrupted(
            f"{result.reason} after step {result.step}; go on with: genlab train resume={run.folder}", number
        )
    return result.best[0] if result.best else None


def failure(run: Run, trainer: "Trainer", error: Exception) -> Exception:
    """What to raise for an error in the middle of a run; says it in status.json where the disk still takes that."""
    with suppress(OSError):
        run.write_status("failed", f"{type(error).__name__}: {brief(error)}", step=trainer.step)
    if isinstance(error, RunFailed):
        last = run.checkpoints / "last.pt"
        where = f"the last good checkpoint is {last}" if last.is_file() else "there is no checkpoint from before that"
        return RunFailed(f"{error}; lower the learning rate or set trainer.clip_grad_norm; {where}")
    if isinstance(error, OSError):
        return RunFailed(f"cannot write {error.filename or run.folder}: {error.strerror or error}")
    return error


def describe(trainer: "Trainer") -> str:
    """One line on what is about to be trained."""
    parameters = sum(p.numel() for p in trainer.family.parameters())
    size = "x".join(map(str, trainer.data.spec.shape))
    model = type(trainer.family).__name__
    return (
        f"{model} ({parameters:,} parameters) on {trainer.data.name} ({len(trainer.data):,} samples of {size}), "
        f"step {trainer.step} to {trainer.steps} on {trainer.device}"
    )


def summary(trainer: "Trainer", result: "Result") -> str:
    """One line on how it went: the measures in words, the speed."""
    measures, parts = result.measures, []
    mixture = getattr(trainer.data, "mixture", None)
    if "eval/modes" in measures and mixture:
        parts.append(f"{measures['eval/modes']:.0f} of {len(mixture.modes)} modes covered")
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
    return f"step {result.step} of {trainer.steps} in {result.seconds:.0f} s: " + ", ".join(parts)


class Signals:
    """SIGINT and SIGTERM ask the loop to finish its step and stop; a second SIGINT leaves at once."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def received(self) -> str:
        return signal.Signals(self.number).name if self.number else ""

    def __enter__(self) -> "Signals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
