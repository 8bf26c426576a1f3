"""`genlab train resume=RUN`: continues a run with its own config, from its newest intact checkpoint."""

import sys
from collections.abc import Collection

from omegaconf import DictConfig, OmegaConf

from genlab.commands import ranks, settings
from genlab.commands.failure import before_training
from genlab.commands.train import execute
from genlab.config import build
from genlab.config.arguments import parse_overrides
from genlab.errors import UserError, brief
from genlab.runs.folder import Run


def resume(arguments: list[str]) -> None:
    """Continue a run from its last checkpoint, with its own config and the changes on the command line.

    A run that was killed before its first checkpoint starts again at step 0. The folder is locked before anything in
    it is read, so that no other process writes to it meanwhile.

    Raises:
        UserError: no such run, another process is using it, all its checkpoints are damaged, or the config does not
            have an overridden key.
    """
    overrides = parse_overrides(arguments)
    if any(override.is_sweep_override() or override.is_delete() or override.package for override in overrides):
        raise UserError("resume takes only key=value, with one value per key")
    values = {override.key_or_group: override.value() for override in overrides}
    added = {override.key_or_group for override in overrides if override.is_add() or override.is_force_add()}
    run = Run.open(str(values.pop("resume")))
    with ranks.lock(run):
        stored = run.read_config()
        settings.refuse_other_parts(run, stored, values)
        config = changed(stored, values, added)
        build.options(config)  # refuses wrong values before torch is imported

        from genlab.trainer import checkpoint

        try:
            state, warning = checkpoint.newest(run.checkpoints)
        except MemoryError as error:
            raise before_training(run, error) from error
        if warning and ranks.is_first():
            print(f"genlab: {warning}", file=sys.stderr)
        execute(run, config, state)


def changed(config: DictConfig, values: dict, added: Collection[str] = ()) -> DictConfig:
    """Returns the config of a run with the values from the command line.

    Args:
        added: keys written with a +; the config need not contain them, but must contain their parent.

    Raises:
        UserError: a key that the config does not have, or that a resumed run must not change.
    """
    from omegaconf.errors import OmegaConfBaseException

    for key, value in values.items():
        if isinstance(OmegaConf.select(config, key), DictConfig) and not isinstance(value, dict):
            raise UserError(f"{key}: a resumed run keeps its {key}; start a new run to change it")
        if key.endswith("_target_") and (before := OmegaConf.select(config, key)) not in (None, value):
            raise UserError(f"{key}: a resumed run keeps it ({before}); start a new run to change it")
        parent = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else None
        if key in added and isinstance(parent, DictConfig) and "_target_" in parent:  # checked when the parent is built
            OmegaConf.update(config, key, value, force_add=True)
        else:
            settings.apply(config, {key: value})
    if "trainer.steps" in values and "trainer.epochs" not in values and "epochs" in config.trainer:
        config.trainer.epochs = None  # the old epochs would override the new steps
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise UserError(brief(error)) from error
    return config
