"""Lets Hydra compose the config of a verb and call its function, once or for each job of a sweep."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from genlab import configs
from genlab.config import sources
from genlab.config.arguments import flags_first
from genlab.config.explain import explain, refuse_unread
from genlab.errors import Interrupted, RunFailed, UserError
from genlab.machine import survive_any_encoding


def run_composed(word: str, config_name: str, overrides: list[str], function: Callable) -> int:
    """Lets Hydra compose the config and call `function(config, folder)`, once or for each job of a sweep.

    Raises:
        UserError: a word is wrong; the one-line message says what is allowed.
        RunFailed, Interrupted: raised by the function.
    """
    failures: list[Exception] = []
    begun = False

    def job(config: Any) -> Any:
        nonlocal begun
        begun = True
        survive_any_encoding()  # a launcher may run jobs in other processes
        try:
            refuse_unread(config, config_name, overrides)
            return function(config, Path(HydraConfig.get().runtime.output_dir))
        except (UserError, RunFailed) as error:  # hidden from Hydra, which would print more than the one line
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the sweeper counts it and reports it at the end
            failures.append(error)
        except OmegaConfBaseException as error:  # a broken interpolation, which Hydra would also print
            failures.append(explain(error, config_name, overrides))
        except Interrupted as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise KeyboardInterrupt from error  # ends the whole sweep
            failures.append(error)

    job.__module__ = "genlab.cli"  # Hydra names the job after this module
    before, sys.argv = sys.argv, [f"genlab {word}", *flags_first(overrides)]
    asked_for_traceback = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them
    sources.register()
    try:
        hydra.main(config_path=str(configs()), config_name=config_name, version_base="1.3")(job)()
    except (HydraException, OmegaConfBaseException, OSError) as error:
        if asked_for_traceback or isinstance(error, BrokenPipeError):
            raise
        raise explain(error, config_name, overrides) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # raised by Hydra on words like model=0
        if begun or asked_for_traceback:
            raise
        raise explain(error, config_name, overrides) from error
    finally:
        sys.argv = before
        if asked_for_traceback is None:
            del os.environ["HYDRA_FULL_ERROR"]
    if failures:
        raise failures[-1]
    return 0


def answer_shell(config_name: str, arguments: list[str]) -> None:
    """Prints the completions of the word in COMP_LINE for the shell."""
    sys.argv = ["genlab", *arguments]
    hydra.main(config_path=str(configs()), config_name=config_name, version_base="1.3")(lambda config: None)()
