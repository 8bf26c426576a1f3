"""The command line: `genlab VERB [overrides]`. Finds the verb and its config and calls Hydra; imports nothing heavy.

The overrides follow Hydra's grammar: `model=vae`, `trainer.steps=100`, `-m`, `--cfg job`, `--help`.
"""

import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple

import genlab
from genlab import __version__
from genlab.config import targets
from genlab.config.arguments import prepared
from genlab.errors import Interrupted, RunFailed, UserError, brief, did_you_mean, out_of_memory
from genlab.machine import survive_any_encoding


class Verb(NamedTuple):
    function: str  # module:function, imported when called
    help: str
    config: str | None = None  # the config that Hydra composes for it
    usage: str = ""  # the arguments of a verb without a config


COMPARE = """genlab compare RUN... [sort=MEASURE] [better=min|max] [out=FOLDER]

RUN is a run folder or a folder that contains some. The table is printed, and written with curves and samples into
FOLDER (outputs/compare)."""
REPORT = """genlab report RUN... [out=FILE.html]

RUN is a run folder or a folder that contains some; the page is report.html unless out= says otherwise."""
DASHBOARD = """genlab dashboard [FOLDER] [port=N]

FOLDER is outputs unless given, the port the first free one from 6006 on."""
LIST = """genlab list [models] [data] [presets] [measures]

Without a word, all four."""

VERBS = {
    "train": Verb("genlab.commands.train:train", "train a model on a data set; resume=RUN continues a run", "train"),
    "sample": Verb("genlab.commands.sample:sample", "draw samples from a trained run: samples.npz, grid.png", "sample"),
    "evaluate": Verb("genlab.commands.evaluate:evaluate", "compute all measures that fit: evaluation.json", "evaluate"),
    "compare": Verb(
        "genlab.commands.compare:compare", "rank runs in one table: terminal, CSV, Markdown, PNG", usage=COMPARE
    ),
    "report": Verb(
        "genlab.commands.report:report", "show runs on one self-contained HTML page: report.html", usage=REPORT
    ),
    "dashboard": Verb(
        "genlab.commands.dashboard:dashboard", "run TensorBoard on all runs, for this machine only", usage=DASHBOARD
    ),
    "prepare": Verb(
        "genlab.commands.prepare:prepare", "download and verify a data set, train the net for its FID", "prepare"
    ),
    "list": Verb("genlab.commands.list:show", "list the models, data sets, presets and measures", usage=LIST),
}

RESUME = Verb("genlab.sweep.resume:resume", "continue a run or a sweep")  # what `train` calls for resume=RUN

USAGE = """genlab {version}: the experiment runner for deep generative models

  genlab VERB [key=value ...]

{verbs}

  genlab train                                  wgan_gp on gaussian2d: seconds, nothing to download
  genlab train model=vae data=mnist             any model on any data set
  genlab train -m model=gan,vae seed=0,1,2      a sweep
  genlab train resume=outputs/RUN               continue exactly where the run stopped
  genlab evaluate run=outputs/RUN               every measure that fits
  genlab compare outputs/                       one ranked table of all runs in a folder
  genlab train --config-dir outputs/RUN         a new run with the config of that one
  genlab report outputs/RUN                     a page to show: curves, samples, measures

'genlab VERB --help' shows all keys of a verb. --allow-targets allows configs to name code from outside genlab.
Tab completion: eval "$(genlab -sc install=bash)"
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, 1 (the run failed), 2 (wrong input), 128 + n (signal n)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    genlab.command[:] = ["genlab", *arguments]
    survive_any_encoding()
    try:
        if targets.FLAG in arguments or targets.allowed():
            with _allow_targets():
                return dispatch([argument for argument in arguments if argument != targets.FLAG])
        return dispatch(arguments)
    except UserError as error:
        return _say(error, 2)
    except RunFailed as error:
        return _say(error, 1)
    except Interrupted as error:
        return _say(error, 128 + error.signal)
    except SystemExit as error:  # how Hydra's --help and --cfg end
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:  # the reader of our output is gone: `genlab list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _say(f"{error.filename or 'the disk'}: {error.strerror or error}", 1)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _say(f"out of memory: {brief(error)}", 1)


def dispatch(arguments: list[str]) -> int:
    """Find the verb and run it.

    Raises:
        UserError: no such verb, or its arguments are wrong.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        verbs = "\n".join(f"  {name:10}{verb.help}" for name, verb in VERBS.items())
        print(USAGE.format(version=__version__, verbs=verbs), end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"genlab {__version__}")
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        return complete(arguments)
    word, rest = arguments[0], arguments[1:]
    if word not in VERBS:
        raise UserError(f"'{word}' is not a command{did_you_mean(word, VERBS)}; commands: {', '.join(VERBS)}")
    verb = VERBS[word]
    if verb.config is None:
        if any(argument in ("-h", "--help") for argument in rest):
            print(f"genlab {word}: {verb.help}\n\n{verb.usage}")
            return 0
        _load(verb)(rest)
        return 0
    rest = prepared(word, rest)
    resumes = any(argument.startswith("resume=") for argument in rest)
    if word == "train" and resumes and any(argument.startswith(("--config-dir", "-cd")) for argument in rest):
        raise UserError("use either resume=RUN, which continues it, or --config-dir RUN, a new run with its config")
    if word == "train" and resumes:
        rest = _load(RESUME)(rest)
        if not rest:
            return 0
    if word == "train" and any(argument.startswith(("--config-dir", "-cd")) for argument in rest):
        from genlab.config import rerun

        if stored := rerun.of_a_run(rest):
            folder, rest = stored
            return run(word, rerun.store(folder), rest, verb)
    return run(word, verb.config, rest, verb)


def run(word: str, config_name: str, overrides: list[str], verb: Verb) -> int:
    """Let Hydra compose the config and call the verb's function, once or for each job of a sweep."""
    from genlab.config.launch import run_composed
    from genlab.sweep.grid import register_plugins

    function = _load(verb)
    register_plugins()
    return run_composed(word, config_name, overrides, function)


def complete(arguments: list[str]) -> int:
    """Answer the shell's request for completions: verbs are completed here, the rest by Hydra."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if any(argument.startswith("query=") for argument in arguments) and len(words) < 3:
        matches = [name for name in VERBS if name.startswith(words[-1] if len(words) == 2 else "")]
        print(("\n" if "query=fish" in arguments else " ").join(matches))
        return 0
    config = "train"
    if len(words) > 2:
        config = VERBS[words[1]].config if words[1] in VERBS else None
        os.environ["COMP_LINE"] = " ".join(["genlab", *words[2:]])
    if config is None:
        return 0
    from genlab.config.launch import answer_shell

    answer_shell(config, arguments)
    return 0


@contextmanager
def _allow_targets():
    """Allow any target, and find modules in the current folder as `python -m` does.

    An environment variable is set, so that child processes allow them too. The folder comes last in the path, so that
    no file in it can shadow another module.
    """
    before, here = os.environ.get(targets.VARIABLE), os.getcwd()
    os.environ[targets.VARIABLE] = "1"
    sys.path.append(here)
    try:
        yield
    finally:
        del os.environ[targets.VARIABLE]
        sys.path.remove(here)
        if before is not None:
            os.environ[targets.VARIABLE] = before


def _load(verb: Verb) -> Callable:
    module, function = verb.function.split(":")
    return getattr(import_module(module), function)


def _say(message: object, code: int) -> int:
    line = " ".join(str(message).split())
    # Escaped, so that no name from a file can control the terminal.
    print("genlab: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in line), file=sys.stderr)
    return code
