"""`genlab evaluate run=RUN`: computes every measure that applies; writes a table, evaluation.json, TensorBoard scalars.

`genlab evaluate samples=FILE.npz data=mnist` evaluates samples made elsewhere with the same measures.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from genlab.commands import settings
from genlab.config import build
from genlab.errors import UserError, choose, within
from genlab.evaluation import NETS, PROTOCOLS
from genlab.runs.folder import Run
from genlab.trainer.options import EXECUTIONS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genlab.data.base import Dataset
    from genlab.evaluation.evaluate import Plan
    from genlab.evaluation.report import Report
    from genlab.metrics.features import FeatureNet

PRECISIONS = ("fp32", "bf16")
SPLITS = ("test", "validation")


def evaluate(config: DictConfig, folder: Path) -> None:
    """Evaluate a run or a file of samples.

    Raises:
        UserError: no such run, checkpoint or file, a wrong value, or a folder that cannot be written.
    """
    check(config)
    if config.run is None:
        of_samples(config)
    else:
        of_run(config)


def check(config: DictConfig) -> None:
    """Check the config before anything heavy is imported.

    Raises:
        UserError: a value is out of range, or neither a run nor a file is given.
    """
    choose("split", str(config.split), SPLITS)
    choose("net", str(config.net), NETS)
    choose("precision", str(config.precision), PRECISIONS)
    choose("execution", str(config.execution), EXECUTIONS)
    if config.protocol is not None:
        choose("protocol", str(config.protocol), PROTOCOLS)
    if config.horizon is not None and not isinstance(config.horizon, int):
        raise UserError(f"horizon: {config.horizon!r} is not a number of steps")
    file = isinstance(config.samples, str)
    least = {"likelihood": 2, "k": 1, "seed": 0, "repeats": 1, "season": 1} | ({} if file else {"samples": 2})
    for key, lowest in least.items():
        if not isinstance(config[key], int) or config[key] < lowest:
            raise UserError(f"{key}: {config[key]!r} is not an integer of at least {lowest}")
    if config.run is None and not file:
        raise UserError("'run' needs a value: genlab evaluate run=outputs/..., or samples=FILE.npz data=mnist")
    if config.run is not None and file:
        raise UserError(
            f"samples: must be a number with run=, got '{config.samples}'; leave out run= to evaluate a file"
        )
    if config.run is not None and "_target_" in (config.get("data") or {}):
        raise UserError("data: a run is evaluated on its own data; data=... is only for samples=FILE")
    for key in settings.changes(config.model):
        if file:
            raise UserError(f"{key}: does not apply to samples=FILE, which has no model")
        if not config.out:
            raise UserError(f"{key}: evaluation.json in the run folder is for the run's own settings; add out=FOLDER")
    if file and config.get("data") is None:
        raise UserError(f"samples={config.samples} needs data=..., the data set to compare the samples with")


def of_run(config: DictConfig) -> None:
    """Evaluate a trained run and write the report to its folder."""
    run = Run.open(str(config.run))
    target = Run(Path(config.out)) if config.out else run
    changes = settings.changes(config.model)
    stored = run.read_config()
    settings.refuse_other_parts(run, stored, changes)
    settings.apply(stored, changes | settings.places(config))

    from genlab.evaluation.evaluate import evaluate as measure
    from genlab.evaluation.report import Report
    from genlab.evaluation.trained import training
    from genlab.metrics.attempts import attempt
    from genlab.runs.history import History
    from genlab.trainer import checkpoint, device
    from genlab.trainer.state import check_data

    where = device.resolve(str(config.device))
    began = time.perf_counter()
    state = checkpoint.read(checkpoint.find(run.checkpoints, str(config.checkpoint)), where)
    family, step = build.revive(run, state, where, stored if changes else None), int(state.get("step", 0))
    data = build.data(stored)
    check_data(state, data)
    check_protocol(config, data)
    check_horizon(config, data)
    data = data.to(where)
    report = Report(
        source=str(run.folder),
        checkpoint=str(config.checkpoint),
        step=step,
        model=type(family).__name__,
        split=config.split,
        settings=changes,
        parameters=sum(parameter.numel() for parameter in family.parameters()),
    )
    report.data, report.fingerprint = data.name, data.fingerprint
    report.seconds["loading"] = time.perf_counter() - began
    measure(family, data, plan(config), net(config, target_of(data), stored.data.get("root"), where, report), report)
    attempt("training", lambda: training(History(run.folder), report), report.left_out)
    publish(report, target)
    if target is run:
        from genlab.runs.tracker import scalars

        scalars(run.folder, step, {f"{config.split}/{name}": row.value for name, row in report.measures.items()})


def of_samples(config: DictConfig) -> None:
    """Evaluate samples from a file against a data set."""
    import torch

    from genlab.evaluation.evaluate import judge_samples
    from genlab.evaluation.report import Report
    from genlab.trainer import device

    where = device.resolve(str(config.device))
    data = build.data(OmegaConf.create({"data": config.data, "seed": config.seed})).to(where)
    check_protocol(config, data)
    samples = read_samples(Path(str(config.samples)), data).to(where)
    report = Report(source=str(config.samples), data=data.name, fingerprint=data.fingerprint, split=config.split)
    with torch.no_grad():
        judge_samples(
            samples, data, plan(config, len(samples)), net(config, data, config.data.get("root"), where, report), report
        )
    publish(report, Run(Path(config.out)) if config.out else None)


def target_of(data: "Dataset") -> "Dataset":
    """Returns the data to compare samples with: of two domains, the second."""
    from genlab.data.pairs import Pairs

    return data.target() if isinstance(data, Pairs) else data


def check_protocol(config: DictConfig, data: "Dataset") -> None:
    """Check that a paper's protocol applies to the data before anything is measured.

    Raises:
        UserError: it does not.
    """
    if config.protocol is not None:
        from genlab.metrics.series import timegan

        timegan.check(data.spec)


def check_horizon(config: DictConfig, data: "Dataset") -> None:
    """Check that windows are long enough to forecast so many steps.

    Raises:
        UserError: they are not, or the data are no series.
    """
    if config.horizon is None:
        return
    if data.spec.layout != "sequence":
        raise UserError("horizon: applies to time series only")
    length = data.spec.shape[1]
    within("horizon", config.horizon, 1, length - 2)
    within("season", config.season, 1, length - config.horizon)


def plan(config: DictConfig, samples: int | None = None) -> "Plan":
    from genlab.evaluation.evaluate import Plan

    keys = ("split", "likelihood", "k", "seed", "precision", "execution", "protocol", "repeats", "horizon", "season")
    return Plan(config.samples if samples is None else samples, **{key: config[key] for key in keys})


def net(
    config: DictConfig, data: "Dataset", root: str | None, where: "torch.device", report: "Report"
) -> "FeatureNet | None":
    """Returns the feature net for images of this data, and records in the report which it is, or why there is none.

    Raises:
        UserError: the requested net is not available.
    """
    from genlab.evaluation.evaluate import timed
    from genlab.evaluation.judges import JUDGES
    from genlab.evaluation.nets import feature_net

    with timed(report, "net"):
        feature, reason = feature_net(str(config.net), data, root, where)
    if feature is None and JUDGES[data.spec.layout].by_features:
        report.left_out["fid"] = reason
    if feature is not None:
        report.net = {"name": feature.name, "fingerprint": feature.fingerprint, "accuracy": feature.accuracy}
    return feature


def read_samples(path: Path, data: "Dataset") -> "Tensor":
    """Reads samples from a .npz (key `samples`) or .npy file, in data units: (N, *shape) float32.

    Samples of a typed table come from a file of any kind that data=table reads, (N, width) float64. Series may be
    (N, T, C) as well as (N, C, T), see `genlab.commands.series`, or come from a file in the format of the data set's
    own, see `genlab.data.series.given`; they become float64.

    Raises:
        UserError: the file is absent or damaged, has no such array, or its shape or range does not fit the data.
    """
    import numpy as np
    import torch

    from genlab.data.image_files import DARK

    if not path.is_file():
        raise UserError(f"samples: no file {path}")
    if data.spec.table is not None:
        from genlab.data.frames import given, read

        frame = read.read(path, header=data.spec.table.header, option="samples")
        return given.units(data.spec.table, frame, strange=True)[0]
    if data.spec.source is not None:
        from genlab.data import formats

        if (found := formats.read(path, data.spec)) is not None:
            return found
    try:
        loaded = np.load(path, allow_pickle=False)
        names = None if isinstance(loaded, np.ndarray) else loaded.files
        array = loaded if names is None else loaded["samples"] if "samples" in names else None
    except Exception as error:  # which exception numpy and zipfile raise depends on the damage
        raise UserError(f"samples: {path} is not a .npz or .npy file of numbers") from error
    if array is None:
        raise UserError(f"samples: {path} has no array 'samples'; it has {', '.join(names or ['none'])}")
    if data.spec.layout == "sequence":
        from genlab.commands import series

        return series.units(array, data, path)
    shape = data.spec.shape
    if array.ndim == len(shape) and len(shape) == 3:
        array = array[:, None]  # grey images without a channel axis
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or len(array) < 2:
        wanted = "x".join(map(str, shape))
        raise UserError(f"samples: {path} holds {array.shape}, but {data.name} needs at least 2 samples of {wanted}")
    if array.dtype.kind not in "fiu":
        raise UserError(f"samples: {path} holds {array.dtype}, not numbers")
    x = torch.from_numpy(array.astype(np.float32))
    if data.spec.only("pixel") and array.dtype == np.uint8:
        if array.max() < DARK:
            raise UserError(
                f"samples: {path} has pixels up to {array.max()} but uint8 ones span 0 to 255: nearly black"
            )
        x = x / 255
    if not x.isfinite().all():
        row = int((~x.isfinite().flatten(1).all(1)).nonzero()[0])
        raise UserError(f"samples: {path} has a value that is not finite in sample {row}")
    if data.spec.only("pixel") and (x.min() < 0 or x.max() > 1):
        raise UserError(
            f"samples: {path} has pixels from {x.min():.3g} to {x.max():.3g}; they must be in [0, 1], or uint8"
        )
    return x


def publish(report: "Report", target: Run | None) -> None:
    """Write evaluation.json into `target`, and print the report.

    Raises:
        UserError: the folder cannot be written.
    """
    if target is not None:  # write before printing, which fails if the output pipe is closed
        try:
            target.folder.mkdir(parents=True, exist_ok=True)
            target.write_evaluation(report.as_dict())
        except OSError as error:
            raise UserError(f"cannot write {error.filename or target.folder}: {error.strerror}") from error
    print("\n".join(report.lines()))
    if target is not None:
        print(target.evaluation)
