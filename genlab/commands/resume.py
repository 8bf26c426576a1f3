"""`genlab train resume=RUN`: go on with a run, with the run's own config and from its newest good checkpoint."""

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
    """`genlab train resume=RUN key=value ...`: the run's own config with these changes, from its last checkpoint.

    A run that was killed before its first checkpoint starts again at step 0. The folder is locked before anything in
    it is read, so that no other process can write what is being read.

    Raises:
        UserError: no such run, another process is at it, all its checkpoints are damaged, or an override that its
            config does not have.
    """
    overrides = parse_overrides(arguments)
    if any(each.is_sweep_override() or each.is_delete() or each.package for each in overrides):
        raise UserError("resume takes key=value only, with one value each")
    values = {each.key_or_group: each.value() for each in overrides}
    added = {each.key_or_group for each in overrides if each.is_add() or each.is_force_add()}
    run = Run.open(str(values.pop("resume")))
    with ranks.lock(run):
        stored = run.read_config()
        settings.refuse_other_parts(run, stored, values)
        config = changed(stored, values, added)
        build.options(config)  # wrong words are refused before torch is imported

        from genlab.trainer import checkpoint

        try:
            state, warning = checkpoint.newest(run.checkpoints)
        except MemoryError as error:
            raise before_training(run, error) from error
        if warning and ranks.is_first():
            print(f"genlab: {warning}", file=sys.stderr)
        execute(run, config, state)


def changed(config: DictConfig, values: dict, added: Collection[str] = ()) -> DictConfig:
    """The config of a run with the values of the command line.

    Args:
        added: keys that were written with a +; the config need not have them yet, and what they belong to must.

    Raises:
        UserError: a key that the config does not have, or that a resumed run has to keep.
    """
    from omegaconf.errors import OmegaConfBaseException

    for key, value in values.items():
        if isinstance(OmegaConf.select(config, key), DictConfig) and not isinstance(value, dict):
            raise UserError(f"{key}: a resumed run keeps its {key}; start a new run to change it")
        if key.endswith("_target_") and (before := OmegaConf.select(config, key)) not in (None, value):
            raise UserError(f"{key}: a resumed run keeps it ({before}); start a new run to change it")
        parent = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else None
        if key in added and isinstance(parent, DictConfig) and "_target_" in parent:  # checked when that is built
            OmegaConf.update(config, key, value, force_add=True)
        else:
            settings.apply(config, {key: value})
    if "trainer.steps" in values and "trainer.epochs" not in values and "epochs" in config.trainer:
        config.trainer.epochs = None  # of the run so far; it would take the place of the new steps
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise UserError(brief(error)) from error
    return config
