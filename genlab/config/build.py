"""Builds data, model, optimizers and trainer options from a config; the only user of Hydra's instantiate.

Every node is checked against the signature that it calls, so that a wrong key or type gives one clear line. The module
does not import torch at the top, so that wrong trainer options are rejected before that.
"""

import inspect
import os
import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from genlab import configs
from genlab.config import names, parts, targets  # noqa: F401 (names: resolvers that the configs use)
from genlab.config.signature import arguments, check_arguments, target_of
from genlab.errors import OptionError, UserError, brief, causes, choose, out_of_memory
from genlab.runs import stored_config
from genlab.runs.folder import Run

if TYPE_CHECKING:
    import torch

    from genlab.data.base import Dataset, Spec
    from genlab.models.base import Family
    from genlab.trainer.execution.updates import OptimizerFactory
    from genlab.trainer.options import Options


def options(config: DictConfig) -> "Options":
    """Builds the trainer's options without importing torch."""
    from genlab.trainer.options import Options

    return _is(_make(config.trainer, "trainer"), Options, "trainer")


def anchor(config: DictConfig) -> None:
    """Makes the paths of the data absolute, in place, because a run folder may be used from another folder later."""
    for key in ("path", "root", *(["other"] if "path" in config.data else [])):
        if not OmegaConf.is_missing(config.data, key) and isinstance(path := config.data.get(key), str):
            config.data[key] = os.path.abspath(os.path.expanduser(path))


def data(config: DictConfig) -> "Dataset":
    """Builds the data set; `data.range: auto` becomes the range that the model prefers.

    A model of two domains gets pairs: this set and a known transform of it, or this set and `data.other`.

    Raises:
        UserError: `data.other` is not a data set, or the model does not use it.
    """
    node, other = config.data.copy(), config.data.get("other")
    together = getattr(target_of(node, "data"), "reads_other", False)  # one set reads both files
    if "other" in node and not (together and other is not None):
        node = OmegaConf.masked_copy(node, [key for key in node if key != "other"])
    model = target_of(config.model, "model") if "model" in config else None
    if node.get("range") == "auto":
        node.range = model.prefers if model else "unit"
    from genlab.data.base import Dataset

    if other is not None and (model is None or model.domains == 1):
        raise UserError("data.other does not apply to this model; only models of two domains (cyclegan) use it")
    first = _is(_make(node, "data"), Dataset, "data")
    if model is None or model.domains == 1:
        return first

    from genlab.data.pairs import Pairs

    if other is None:
        return Pairs(first)
    return Pairs(first, getattr(first, "other", None) or _make(_other(str(other), node), "data.other"))


def _other(name: str, node: DictConfig) -> DictConfig:
    """Returns the config of the data set `name`, with the values of `node` for all keys that both have.

    If the first set is a folder, `name` is the path of another folder.
    """
    if "path" in node:
        return OmegaConf.create({**node, "path": name})
    choose("data.other", name, sorted(path.stem for path in (configs() / "data").glob("*.yaml")))
    other = OmegaConf.load(configs() / "data" / f"{name}.yaml")
    assert isinstance(other, DictConfig)
    shared = {key: node[key] for key in other if key in node and key != "_target_"}
    return OmegaConf.create({key: value for key, value in {**other, **shared}.items() if key != "other"})


def family(config: DictConfig, spec: "Spec", home: Run | None = None) -> "Family":
    """Builds the model with networks that fit the shape of the data; draws weights from torch's global generator.

    If the model takes another family (an autoencoder, say), the config names the run folder of a trained one.

    Args:
        home: the run that the model belongs to; its own copy of the other family is preferred to that folder.
    """
    from genlab.models.base import Family

    node, trained = config.model.copy(), {}
    OmegaConf.set_struct(node, False)
    for key in _families(target_of(node, "model")):
        if isinstance(node.get(key), str):
            trained[key] = _trained(parts.source(node.pop(key), key, home), f"model.{key}")
    return _is(_make(node, "model", spec=spec, **trained), Family, "model")


def keep_parts(run: Run, config: DictConfig, model: "Family") -> None:
    """Copies the trained families that the model contains into the run's folder, to make it self-contained.

    Raises:
        OSError: the copies cannot be written.
    """
    for key in _families(target_of(config.model, "model")):
        if isinstance(config.model.get(key), str):
            parts.keep(run, key, config.model[key], getattr(model, key))


def optimizers(config: DictConfig) -> dict[str, "OptimizerFactory"]:
    """Returns a callable for each phase that makes its optimizer from its parameters."""
    if not isinstance(config.optimizer, DictConfig):
        raise UserError(f"optimizer: {config.optimizer!r} is not a table of optimizers; set optimizer.PHASE.KEY=VALUE")
    factories = {}
    for name, node in config.optimizer.items():
        path = f"optimizer.{name}"
        target = target_of(node, path)
        targets.check_targets(arguments(node, path), path)
        check_arguments(target, node, path)
        # torch rejects betas that mix 0 with floats.
        numbers = {k: [float(n) for n in v] if isinstance(v, list) else v for k, v in arguments(node, path).items()}
        factories[str(name)] = partial(target, **numbers)
    return factories


def revive(run: Run, state: dict[str, Any], device: "torch.device", config: DictConfig | None = None) -> "Family":
    """Builds the family of a run, ready to sample and evaluate, with averaged weights if the checkpoint has them.

    Args:
        state: the result of `checkpoint.read`.
        config: the run's config with changes, to sampler settings for example; None: the stored config.

    Raises:
        UserError: the state does not fit the config.
    """
    model = family(run.read_config() if config is None else config, _spec(state), run)
    return _load(model, state, run.config if config is None else "these settings").to(device)


def _spec(state: dict[str, Any]) -> "Spec":
    """Returns the spec of the data that a checkpoint was trained on.

    Raises:
        UserError: the checkpoint has no valid spec.
    """
    from genlab.data.base import Spec

    try:
        spec = Spec.of(state["spec"], state.get("counts", ()))
        if not all(isinstance(value, int) for value in (*spec.shape, spec.classes, *spec.counts)):
            raise ValueError("shape, classes and counts must be integers")
        if len(spec.counts) not in (0, spec.classes) or min(spec.counts, default=0) < 0:
            raise ValueError(f"{len(spec.counts)} counts for {spec.classes} classes")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"the checkpoint has no valid description of its data: {brief(error)}") from error
    return spec


def _load(model: "Family", state: dict[str, Any], settings: object) -> "Family":
    """Loads the weights of a checkpoint into a family and freezes it.

    Raises:
        UserError: the weights do not fit.
    """
    try:
        model.load_state_dict(state.get("ema") or state["family"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the checkpoint does not fit {settings}: {brief(error)}") from error
    return model.requires_grad_(False).eval()


def _families(target: Callable) -> list[str]:
    """Returns the parameters of a model that take another family."""
    from genlab.models.base import Family

    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    return [name for name, hint in hints.items() if hint is Family or Family in typing.get_args(hint)]


def _trained(source: Path, path: str) -> "Family":
    """Loads the trained family in a run's folder or in a run's own copy.

    Raises:
        UserError: there is no trained family, or it cannot be loaded.
    """
    import torch

    try:
        text, state = parts.read(source)
        if source.is_dir():
            return revive(Run.open(source), state, torch.device("cpu"))
        return _load(family(stored_config.parse(text, source), _spec(state)), state, source)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _make(node: DictConfig, path: str, **given: Any) -> Any:
    target = target_of(node, path)
    targets.check_targets(arguments(node, path), path)
    check_arguments(target, node, path)
    try:
        return instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        chain = list(causes(error))
        for cause in chain:
            if isinstance(cause, OptionError) and not cause.name.startswith(f"{path}."):
                raise UserError(f"{path}.{cause}") from None
            if isinstance(cause, UserError) or out_of_memory(cause):
                raise cause from None
        # A value that the target itself rejects: a negative width, say.
        raise UserError(f"{path}: {brief(chain[-1])}") from error


def _is(built: Any, kind: type, path: str) -> Any:
    if not isinstance(built, kind):
        raise UserError(f"{path}._target_: makes a {type(built).__name__}, not a {kind.__name__}")
    return built
