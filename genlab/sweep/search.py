"""Search with Optuna: `genlab train -m hydra/sweeper=optuna optimizer.model.lr='tag(log, interval(1e-4, 1e-2))'`.

The tree-structured Parzen estimator (J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for hyper-parameter
optimization", 2011, https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization) proposes values;
each trial is a job like those of any sweep. A trial whose monitored measure is worse than the median of the others at
the same step is stopped (D. Golovin et al., "Google Vizier: a service for black-box optimization", 2017,
https://doi.org/10.1145/3097983.3098043, section 3.2.2).
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext
from omegaconf import DictConfig

from genlab.config import build
from genlab.errors import UserError, brief, within
from genlab.metrics.measure import NEAR, cost
from genlab.sweep.folder import Job
from genlab.sweep.grid import check_options, count, flags, new_sweep, prepare_job, readable
from genlab.sweep.pool import Pool, resources


class Search(Sweeper):
    """Sweeper that tries values where Optuna expects the best monitored measure.

    A failed trial stays failed, for the sampler to learn from; an interrupted one continues after a resume.

    Args:
        n_trials: number of trials in total, including those before a resume.
        storage: database URL; None: SWEEP/optuna.db.
        seed: seed of the sampler.
        startup_trials: random trials before the sampler learns from them.
        prune: stop trials that are worse than the median of the others.
        prune_after: trials that must have ended before one is pruned.
        prune_from: step before which no trial is pruned.
    """

    def __init__(
        self,
        n_trials: int = 20,
        storage: str | None = None,
        seed: int = 0,
        startup_trials: int = 10,
        prune: bool = True,
        prune_after: int = 5,
        prune_from: int = 0,
    ) -> None:
        check_options(Search, locals())
        for name, value in (("seed", seed), ("startup_trials", startup_trials), ("prune_after", prune_after)):
            within(f"hydra.sweeper.{name}", value, 0)
        self.n_trials, self.storage, self.seed, self.startup_trials = n_trials, storage, seed, startup_trials
        self.prune, self.prune_after, self.prune_from = prune, prune_after, prune_from

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        self.context, self.base = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Runs the search, or the rest of it if the folder already holds one.

        Raises:
            UserError: there is nothing to search over or no measure to monitor, or Optuna is not installed.
            RunFailed: a job failed.
        """
        try:
            import optuna
        except ImportError:
            raise UserError("hydra/sweeper=optuna needs Optuna: pip install 'genlab[optuna]'") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        overrides = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(arguments)
        space = {item.get_key_element(): distribution(item) for item in overrides if item.is_sweep_override()}
        fixed = [item.input_line or "" for item in overrides if not item.is_sweep_override()]
        build.options(self.base)
        options = self.base.trainer
        if not space:
            raise UserError("nothing to search over: set a key to choice(...), range(...) or interval(...)")
        if not options.evaluate_every:
            raise UserError("trainer.evaluate_every must not be 0: a search needs the monitored measure")
        launcher = self.base.hydra.launcher
        resource = resources(
            count("n_jobs", launcher.get("n_jobs", "auto")),
            count("threads", launcher.get("threads", "auto")),
            options.device,
            options.devices,
        )
        sweep = new_sweep(self.base, resumed=True)
        storage = self._storage(sweep.folder / "optuna.db")
        sweep.search = self._words()
        sweep.save()
        self.study = optuna.create_study(
            storage=storage,
            study_name="genlab",
            direction="maximize" if better(options) == "max" else "minimize",
            pruner=optuna.pruners.MedianPruner(self.prune_after, self.prune_from),
            load_if_exists=True,
        )
        # A different seed after a resume, or the sampler would propose the same values again.
        seed = self.seed + len(self.study.trials)
        self.study.sampler = optuna.samplers.TPESampler(n_startup_trials=self.startup_trials, seed=seed)
        self.known = {job.number: job for job in sweep.jobs}
        self.trials: dict[int, Any] = {}
        self.reported: dict[int, int] = {}
        self.current = sweep

        def jobs() -> Iterator[Job]:
            for old in self.study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # from a stopped search
                self.reported[old.number] = max(old.intermediate_values, default=0)
                yield self._job(optuna.trial.Trial(self.study, old._trial_id), fixed, overrides)
            while len(self.study.get_trials(deepcopy=False)) < self.n_trials:
                yield self._job(self.study.ask(space), fixed, overrides)

        print(f"search: {self.n_trials} trials, {resource[0]} at a time; logs: {sweep.folder}/*/job.log", flush=True)
        interrupted = True
        try:
            Pool(sweep, *resource).run(jobs(), self._tell, self._hopeless)
            interrupted = False
        finally:
            sweep.conclude(interrupted)

    def _storage(self, path: Path) -> Any:
        """Returns the user's database, or the URL of the file.

        Raises:
            UserError: Optuna cannot open the user's database.
        """
        if self.storage is None:
            return f"sqlite:///{path}"
        import optuna

        try:
            return optuna.storages.get_storage(self.storage)
        except Exception as error:  # raised by any of the database libraries
            raise UserError(f"hydra.sweeper.storage: '{self.storage}' cannot be opened: {brief(error)}") from error

    def _job(self, trial: Any, fixed: list[str], overrides: list[Override]) -> Job:
        """Returns the job of a trial: the existing one, else a new one."""
        self.trials[trial.number] = trial
        if trial.number not in self.known:
            # Six digits are enough for a value, and keep the folder's name short.
            chosen = [f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in trial.params.items()]
            job, _ = prepare_job(self.context, self.base, [*fixed, *chosen, readable(overrides)], trial.number)
            self.known[trial.number] = job
            self.current.add([job])
        return self.known[trial.number]

    def _tell(self, job: Job) -> None:
        """Tells the study how a trial ended; an interrupted trial continues when the search is resumed."""
        from optuna.trial import TrialState

        self._report(job)  # other trials are compared with these values
        if job.status == "finished" and job.value is None:
            job.status, job.reason = "failed", "the monitored measure never had a finite value"
        if job.status == "finished":
            self.study.tell(job.number, self._told(job.value or 0.0))
        elif job.status != "interrupted":
            self.study.tell(job.number, state=TrialState.PRUNED if job.status == "pruned" else TrialState.FAIL)

    def _hopeless(self, job: Job) -> bool:
        """Returns whether a running job should be pruned."""
        self._report(job)
        return self.prune and job.number in self.reported and self.trials[job.number].should_prune()

    def _report(self, job: Job) -> None:
        """Reports to the study what a job has measured since the last report."""
        for step, value in monitored(self.current.run(job).metrics, self.base.trainer.monitor):
            if step > self.reported.get(job.number, 0):
                self.reported[job.number] = step
                self.trials[job.number].report(self._told(value), step)

    def _told(self, value: float) -> float:
        """Returns the value for Optuna: the measured one, or its distance from the best value if neither end is best.

        A study that maximises started when a larger value of this measure counted as better, and keeps doing so.
        """
        goal = better(self.base.trainer)
        return cost(value, goal) if goal.startswith(NEAR) and self.study.direction.name == "MINIMIZE" else value

    def _words(self) -> list[str]:
        """Returns the words of the command line, for a resume."""
        own = self.base.hydra.overrides
        words = [*flags(self.base), *map(str, own.hydra), *map(str, own.task)]
        return [word for word in words if not word.startswith(("hydra.mode=", "hydra.sweep.dir="))]


def better(options: DictConfig) -> str:
    """Returns which values of the monitored measure are better for the trainer: like Measure.better, but never ""."""
    if options.mode != "auto" or options.monitor == "auto":
        return "max" if options.mode == "max" else "min"
    from genlab.metrics.catalogue import MEASURES  # imports torch

    known = MEASURES.get(options.monitor.rsplit("/", 1)[-1])
    return (known.better if known else "min") or "min"


def distribution(override: Override) -> Any:
    """Returns Optuna's distribution for a sweep in Hydra's grammar.

    Raises:
        UserError: the values are not a choice, or not a range or interval of numbers.
    """
    from optuna import distributions as d

    key, value = override.get_key_element(), override.value()
    try:
        if isinstance(value, RangeSweep):
            low, stop, step = value.start, value.stop, value.step
            if low is None or stop is None:
                raise ValueError("a range needs its start and its stop")
            if isinstance(low, int) and isinstance(stop, int) and isinstance(step, int):
                return d.IntDistribution(low, stop - 1, step=step)  # Hydra excludes the end, Optuna includes it
            return d.FloatDistribution(low, stop - step, step=step)
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            if low is None or high is None:
                raise ValueError("an interval needs both ends")
            if isinstance(low, int) and isinstance(high, int):
                return d.IntDistribution(low, high, log="log" in value.tags)
            return d.FloatDistribution(low, high, log="log" in value.tags)
    except ValueError as error:
        raise UserError(f"{override.input_line}: {error}") from error
    if isinstance(value, ChoiceSweep):
        return d.CategoricalDistribution(list(override.sweep_string_iterator()))
    raise UserError(f"{key}: write its values as choice(...), range(...) or interval(...)")


def monitored(metrics: Path, monitor: str) -> list[tuple[int, float]]:
    """Returns the steps and values of the monitored measure so far; "auto" picks the same measure as the trainer."""
    history = []
    try:
        lines = metrics.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # a line that is being written
            continue
        name = monitor
        if monitor == "auto":
            name = "eval/loss" if "eval/loss" in record else "eval/sliced_w2"
        if isinstance(value := record.get(name), (int, float)) and math.isfinite(value):
            history.append((record["step"], value))
    return history
