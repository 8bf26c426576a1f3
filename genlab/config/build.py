"""Config -> data, model, optimizers, trainer options: the only user of Hydra's instantiate.

Every node is checked against the signature that it calls, so that a wrong key or type is one clear line. Nothing here
imports torch: a wrong word in the trainer's options is refused before that.
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
    """The trainer's options. Imports no torch."""
    from genlab.trainer.options import Options

    return _is(_make(config.trainer, "trainer"), Options, "trainer")


def anchor(config: DictConfig) -> None:
    """Make the paths of the data absolute, in place: a run folder is used from other folders later."""
    for key in ("path", "root", *(["other"] if "path" in config.data else [])):
        if not OmegaConf.is_missing(config.data, key) and isinstance(path := config.data.get(key), str):
            config.data[key] = os.path.abspath(os.path.expanduser(path))


def data(config: DictConfig) -> "Dataset":
    """The data set; `data.range: auto` becomes the range that the model prefers.

    A model of two domains gets pairs: of this set and a known transform of it, or of this set and `data.other`.

    Raises:
        UserError: `data.other` is no data set, or the model has no use for it.
    """
    node, other = config.data.copy(), config.data.get("other")
    if "other" in node:
        node = OmegaConf.masked_copy(node, [key for key in node if key != "other"])
    model = target_of(config.model, "model") if "model" in config else None
    if node.get("range") == "auto":
        node.range = model.prefers if model else "unit"
    from genlab.data.base import Dataset

    first = _is(_make(node, "data"), Dataset, "data")
    if model is None or model.domains == 1:
        if other is not None:
            raise UserError(f"data.other: '{other}' has no place here; only models of two domains (cyclegan) take it")
        return first

    from genlab.data.pairs import Pairs

    return Pairs(first, None if other is None else _make(_other(str(other), node), "data.other"))


def _other(name: str, node: DictConfig) -> DictConfig:
    """The config of the data set `name`, with the values of `node` wherever both have a key.

    Where the first set is a folder, `name` is another one.
    """
    if "path" in node:
        return OmegaConf.create({**node, "path": name})
    choose("data.other", name, sorted(path.stem for path in (configs() / "data").glob("*.yaml")))
    other = OmegaConf.load(configs() / "data" / f"{name}.yaml")
    assert isinstance(other, DictConfig)
    shared = {key: node[key] for key in other if key in node and key != "_target_"}
    return OmegaConf.create({key: value for key, value in {**other, **shared}.items() if key != "other"})


def family(config: DictConfig, spec: "Spec", home: Run | None = None) -> "Family":
    """The model, its nets picked by the shape of the data; weights drawn from torch's global generator.

    Where the model takes another family (an autoencoder, say), the config names the run folder of a trained one.

    Args:
        home: the run that the model belongs to; its own copy of that other family goes before the folder.
    """
    from genlab.models.base import Family

    node, trained = config.model.copy(), {}
    OmegaConf.set_struct(node, False)
    for key in _families(target_of(node, "model")):
        if isinstance(node.get(key), str):
            trained[key] = _trained(parts.source(node.pop(key), key, home), f"model.{key}")
    return _is(_make(node, "model", spec=spec, **trained), Family, "model")


def keep_parts(run: Run, config: DictConfig, model: "Family") -> None:
    """Copy the trained families that the model was made of into the run's folder, so that it is whole in itself.

    Raises:
        OSError: the disk does not take them.
    """
    for key in _families(target_of(config.model, "model")):
        if isinstance(config.model.get(key), str):
            parts.keep(run, key, config.model[key], getattr(model, key))


def optimizers(config: DictConfig) -> dict[str, "OptimizerFactory"]:
    """For each phase, a callable that makes its optimizer from its parameters."""
    if not isinstance(config.optimizer, DictConfig):
        raise UserError(f"optimizer: {config.optimizer!r} is no table of optimizers; change optimizer.PHASE.KEY=VALUE")
    factories = {}
    for name, node in config.optimizer.items():
        path = f"optimizer.{name}"
        target = target_of(node, path)
        targets.check_targets(arguments(node, path), path)
        check_arguments(target, node, path)
        # torch refuses betas of which one is written 0 and not 0.0.
        numbers = {k: [float(n) for n in v] if isinstance(v, list) else v for k, v in arguments(node, path).items()}
        factories[str(name)] = partial(target, **numbers)
    return factories


def revive(run: Run, state: dict[str, Any], device: "torch.device", config: DictConfig | None = None) -> "Family":
    """The family of a run as it is sampled and measured (the averaged twin where there is one), ready to use.

    Args:
        state: what `checkpoint.read` gave.
        config: the run's config with other settings of its sampler, say; None: as it is.

    Raises:
        UserError: the state does not fit the config.
    """
    model = family(run.read_config() if config is None else config, _spec(state), run)
    return _load(model, state, run.config if config is None else "these settings").to(device)


def _spec(state: dict[str, Any]) -> "Spec":
    """The spec of the data that a checkpoint was trained on.

    Raises:
        UserError: it names none.
    """
    from genlab.data.base import Spec

    try:
        spec = Spec.of(state["spec"], state.get("counts", ()))
        if not all(isinstance(each, int) for each in (*spec.shape, spec.classes, *spec.counts)):
            raise ValueError("a shape of no integers")
        if len(spec.counts) not in (0, spec.classes) or min(spec.counts, default=0) < 0:
            raise ValueError(f"{len(spec.counts)} counts of {spec.classes} classes")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"the checkpoint names no data: {brief(error)}") from error
    return spec


def _load(model: "Family", state: dict[str, Any], what: object) -> "Family":
    """A family with the weights of a checkpoint, frozen.

    Raises:
        UserError: they do not fit.
    """
    try:
        model.load_state_dict(state.get("ema") or state["family"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the checkpoint does not fit {what}: {brief(error)}") from error
    return model.requires_grad_(False).eval()


def _families(target: Callable) -> list[str]:
    """The parameters of a model that take another family."""
    from genlab.models.base import Family

    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    return [name for name, hint in hints.items() if hint is Family or Family in typing.get_args(hint)]


def _trained(source: Path, path: str) -> "Family":
    """The family in a run's folder, or in a run's own copy.

    Raises:
        UserError: there is none.
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
        # A value that the target itself refuses: a negative width, say.
        raise UserError(f"{path}: {brief(chain[-1])}") from error


def _is(made: Any, kind: type, path: str) -> Any:
    if not isinstance(made, kind):
        raise UserError(f"{path}._target_: makes a {type(made).__name__}, not a {kind.__name__}")
    return made
