"""Sweeps over a grid with Hydra: a launcher that runs each job in its own process, and a sweeper that prints a table.

Hydra only loads plugins of the package `hydra_plugins`; `register_plugins` registers genlab's plugins under that name,
so that the configs hydra/launcher/processes.yaml and hydra/sweeper/{grid,optuna}.yaml find them.
"""

import os
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from genlab.config import build, rerun
from genlab.config.explain import refuse_unread
from genlab.config.signature import describe, fits
from genlab.errors import Interrupted, RunFailed, UserError, brief, within
from genlab.runs.folder import Run
from genlab.sweep.folder import Job, Sweep, again
from genlab.sweep.pool import Pool, resources

PLUGINS = {"Processes": "genlab.sweep.grid", "Grid": "genlab.sweep.grid", "Search": "genlab.sweep.search"}


def register_plugins() -> None:
    """Registers genlab's plugins with Hydra."""
    for name, module in PLUGINS.items():
        Plugins.instance().class_name_to_class[f"hydra_plugins.genlab.{name}"] = getattr(import_module(module), name)


def prepare_job(
    context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int
) -> tuple[Job, DictConfig]:
    """Returns a job and its full config, composed and checked before any job starts.

    Raises:
        UserError: a trainer option is wrong, or nothing reads a key.
    """
    job, composed = compose_job(context, config, overrides, number)
    build.options(composed)
    refuse_unread(composed, config.hydra.job.config_name, job.overrides)
    return job, composed


def compose_job(
    context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int
) -> tuple[Job, DictConfig]:
    """Returns a job, with the name of its folder, and its full config."""
    composed = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    HydraConfig.instance().set_config(composed)  # for ${hydra:...} in the folder's name
    own = [word for word in overrides if not word.startswith("++hydra.")]
    return Job(number, str(OmegaConf.select(composed, "hydra.sweep.subdir")), own), composed


def readable(overrides: Sequence[Override]) -> str:
    """Returns an override that names the folders of jobs after the swept keys only."""
    fixed = {item.get_key_element().lstrip("+~") for item in overrides if not item.is_sweep_override()}
    return f"++hydra.job.config.override_dirname.exclude_keys=[{','.join(sorted(fixed | {'name'}))}]"


def flags(config: DictConfig) -> list[str]:
    """Returns the flags of the sweep that its jobs need too: further config folders and the primary config."""
    more = [s.path.removeprefix("file://") for s in config.hydra.runtime.config_sources if s.provider == "command-line"]
    name = config.hydra.job.config_name
    words = [word for path in more for word in ("--config-dir", path)]
    words += rerun.flags() if name == rerun.NAME else ["-cn", name] if name != "train" else []
    path = ",".join(f"'{folder}'" for folder in config.hydra.searchpath)
    return [*words, f"hydra.searchpath=[{path}]"] if path else words


def new_sweep(config: DictConfig, resumed: bool = False) -> Sweep:
    """Returns the sweep in the folder that the config names.

    Args:
        resumed: open the sweep that the folder already holds, if any.

    Raises:
        UserError: the folder already holds a sweep, and `resumed` is false.
    """
    folder = Path(os.path.abspath(config.hydra.sweep.dir))
    if Sweep.is_one(folder):
        if resumed:
            return Sweep.open(folder)
        raise UserError(f"{folder} already holds a sweep: go on with {again(folder)}, or choose another folder")
    return Sweep(folder, flags=flags(config))


class Processes(Launcher):
    """Launcher that runs each job in its own process on this machine.

    Args:
        n_jobs: jobs at a time; "auto": one per visible GPU, or half the CPU cores without a GPU.
        threads: CPU threads per job; "auto": the cores divided by n_jobs.
    """

    def __init__(self, n_jobs: int | str = "auto", threads: int | str = "auto") -> None:
        self.n_jobs, self.threads = count("n_jobs", n_jobs), count("threads", threads)
        self.sweep: Sweep | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Runs all jobs to their end, even if some fail.

        Raises:
            Interrupted: a signal ended the jobs.
        """
        setup_globals()
        prepared = [
            prepare_job(self.context, self.config, overrides, number)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        self.sweep = self.sweep or new_sweep(self.config)
        self.sweep.launcher = {"n_jobs": self.n_jobs, "threads": self.threads}
        self.sweep.add(job for job, _ in prepared)
        trainer = prepared[0][1].trainer
        slots, threads, gpus = resources(self.n_jobs, self.threads, trainer.device, trainer.devices)
        slots = min(slots, len(prepared))
        where = f"GPUs {', '.join(gpus)}" if gpus else f"the CPU, {threads} thread(s) each"
        print(f"{len(prepared)} jobs, {slots} at a time on {where}; logs: {self.sweep.folder}/*/job.log", flush=True)
        Pool(self.sweep, slots, threads, gpus).run(iter(job for job, _ in prepared))
        return [returned(job, composed) for job, composed in prepared]


class Grid(Sweeper):
    """Sweeper over all combinations of values; names folders after what differs, and prints a table at the end.

    Works with any launcher.

    Args:
        max_batch_size: jobs passed to the launcher at once; None: all.
        params: overrides from the config, by key; those of the command line take precedence.
    """

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        check_options(Grid, locals())
        if max_batch_size is not None:
            within("hydra.sweeper.max_batch_size", max_batch_size, 1)
        self.max_batch_size, self.params = max_batch_size, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        self.context, self.base = hydra_context, config
        self.hydra_context, self.config = hydra_context, config  # the names that Hydra's own methods use
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Runs the sweep.

        Raises:
            UserError: a key has no values to sweep over.
            RunFailed: a job failed; the others ran to their end.
        """
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        for item in overrides:
            if item.is_sweep_override() and not list(item.sweep_string_iterator()):
                raise UserError(f"{item.input_line}: there are no values to sweep over")
        returns: list[Sequence[JobReturn]] = []
        number, interrupted = 0, True
        planned = None if isinstance(self.launcher, Processes) else new_sweep(self.base)
        try:
            for batch in BasicSweeper.split_arguments(overrides, self.max_batch_size):
                batch = [[*words, readable(overrides)] for words in batch]
                self.validate_batch_is_legal(batch)
                if planned:  # this launcher makes the folders itself
                    planned.add(
                        compose_job(self.context, self.base, words, number + i)[0] for i, words in enumerate(batch)
                    )
                returns.append(self.launcher.launch(batch, initial_job_idx=number))
                number += len(batch)
            interrupted = False
        finally:
            sweep = self.launcher.sweep if isinstance(self.launcher, Processes) else gather(self.base, returns)
            if sweep and sweep.jobs:
                sweep.conclude(interrupted)
        return returns


def returned(job: Job, config: DictConfig) -> JobReturn:
    """Returns the result of a job in the form that Hydra's sweepers expect."""
    done = job.status in ("finished", "pruned")
    result = JobReturn(job.overrides, config, config, status=JobStatus.COMPLETED if done else JobStatus.FAILED)
    result.return_value = job.value if done else RunFailed(job.reason)
    return result


def gather(config: DictConfig, returns: Sequence[Sequence[JobReturn]]) -> Sweep | None:
    """Reconstructs the sweep that another launcher ran, from its results and from the folders of the jobs."""
    sweep = new_sweep(config)
    for number, result in enumerate(item for batch in returns for item in batch):
        assert result.hydra_cfg is not None
        folder = Path(result.hydra_cfg.hydra.runtime.output_dir)
        job = Job(number, os.path.relpath(folder, sweep.folder), list(result.overrides or []))
        sweep.read_result(job)
        job.status = "finished"
        if result.status == JobStatus.FAILED:
            error = result._return_value
            job.status = "interrupted" if isinstance(error, Interrupted) else "failed"
            job.reason = f"{type(error).__name__}: {brief(error)}"
            folder.mkdir(parents=True, exist_ok=True)
            # The same files as a job of genlab's own launcher leaves.
            with open(folder / "job.log", "a", encoding="utf-8", errors="backslashreplace") as log:
                log.writelines(traceback.format_exception(error))
            Run(folder).write_status(job.status, job.reason, step=job.step)
        sweep.jobs.append(job)
    return sweep


def check_options(sweeper: type[Sweeper], values: Mapping[str, object]) -> None:
    """Checks the options of a sweeper against the types in its signature.

    Raises:
        UserError: an option has the wrong type.
    """
    for name, hint in get_type_hints(sweeper.__init__).items():
        if name in values and not fits(values[name], hint):
            raise UserError(f"hydra.sweeper.{name}: {values[name]!r} is not {describe(hint)}")


def count(key: str, value: int | str) -> int | str:
    """Returns a number of jobs or threads after checking it.

    Raises:
        UserError: it is neither a positive integer nor "auto".
    """
    if value != "auto" and not (isinstance(value, int) and value > 0):
        raise UserError(f"hydra.launcher.{key}: {value!r} is neither a positive integer nor auto")
    return value
