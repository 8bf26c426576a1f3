"""`genlab train --config-dir RUN`: the stored config of a run as the primary config of a new one.

What comes out of a run folder goes through `Run.read_config`, never through Hydra's own reading of files: a `hydra:`
section can name loggers, callbacks and launchers, and with them any code.
"""

from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from genlab import configs
from genlab.config import names
from genlab.errors import UserError
from genlab.runs.folder import Run

NAME = "rerun"  # of the config in Hydra's store
_stored: list[Path] = []  # the folder it came from


def flags() -> list[str]:
    """The flags by which another process, a job of a sweep, finds the config that `store` put there."""
    return ["--config-dir", str(_stored[-1])]


def of_a_run(arguments: list[str]) -> tuple[Path, list[str]] | None:
    """The run folder that --config-dir names, and the other arguments; None where it names none.

    A folder with a config.yaml in it is taken for a run's, unless --config-name asks for another file of it.
    """
    rest, found = [], {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "-cd", "--config-name", "-cn"):
            found[flag.strip("-")[-4:]] = value if equals else next(words, "")
        else:
            rest.append(word)
    folder = Path(found.get("-dir", found.get("cd", "")))
    name = found.get("name", found.get("cn", "config"))
    if folder == Path() or name not in ("config", "config.yaml") or not (folder / "config.yaml").exists():
        return None
    return folder, rest


def store(folder: Path) -> str:
    """Put the config of a run where Hydra finds it, with the settings of `train` for Hydra itself; return its name.

    Raises:
        UserError: no config of a run, or one that would write elsewhere than below outputs/.
    """
    config = Run.open(folder).read_config()
    name = str(config.get("name") or folder.name)
    try:
        names.below(name)
    except UserError as error:
        raise UserError(f"{folder / 'config.yaml'}: {error}") from error
    train = OmegaConf.load(configs() / "train.yaml")
    assert isinstance(train, DictConfig)
    own = [each for each in train.defaults if any(str(key).startswith("override hydra/") for key in _keys(each))]
    OmegaConf.set_struct(config, False)
    for key, value in config.model.items():  # an autoencoder: the run's own copy of it, wherever the original is now
        if isinstance(value, str) and (copy := Run(folder.absolute()).part(str(key))).is_file():
            config.model[key] = str(copy)
    stored = {"defaults": ["_self_", *own], **config, "name": name, "resume": None, "hydra": train.hydra}
    ConfigStore.instance().store(NAME, OmegaConf.create(stored))
    _stored[:] = [folder.absolute()]
    return NAME


def _keys(each: object) -> list:
    return list(each) if isinstance(each, DictConfig) else []
