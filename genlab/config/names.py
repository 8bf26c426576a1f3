"""Makes names of run folders from user input: readable, and always inside the folder they belong to.

Configs use them as resolvers: `${genlab.component:TEXT}`, `${genlab.below:NAME}`, `${genlab.run_name:MODEL,DATA}`.
"""

import hashlib
import os
import re
import sys
from pathlib import PurePath

from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError

LONGEST = 120  # bytes in a name; file systems allow 255, and files in the folder add to the path
FORBIDDEN = set('/\\<>:"|?*')  # characters that some file system forbids


def component(text: object) -> str:
    """Turns a text into the name of one folder, which may be empty.

    Removes quotes and leading `../`, replaces separators and control characters by `_`, strips dots and spaces, and
    cuts a text of more than `LONGEST` bytes, appending a hash of the whole text.
    """
    whole = str(text)
    short = re.sub(r"(?<![^/=,\[])(\.{1,2}/)+", "", re.sub(r"[\\'\"]", "", whole))
    short = "".join("_" if c in FORBIDDEN or not c.isprintable() or not _encodable(c) else c for c in short)
    short = short.lstrip(". ").rstrip(". ")
    encoded = os.fsencode(short)
    if len(encoded) <= LONGEST:
        return short
    digest = hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:8]
    start = encoded[: LONGEST - 9].decode(sys.getfilesystemencoding(), "ignore")  # the cut may split a character
    return f"{start}_{digest}"


def below(name: object) -> str:
    """Turns the `name` of a run into a path below outputs/; `study/a` makes two folders.

    Raises:
        UserError: the name is absolute or contains `..`.
    """
    if name is None:
        return ""
    parts = str(name).replace("\\", "/").split("/")
    if PurePath(str(name)).is_absolute() or ".." in parts:
        raise UserError(f"name: '{name}' leads out of outputs/; write a plain name, or hydra.run.dir=FOLDER")
    return "/".join(filter(None, map(component, parts)))


def run_name(model: object, data: object, *, _root_: DictConfig) -> str:
    """Returns the name of a run, MODEL_DATA; the user's own file or folder gives its name to the data: flow_adult."""
    path = OmegaConf.select(_root_, "data.path", default=None)
    if isinstance(path, str) and path:
        path = os.path.abspath(os.path.expanduser(path))
        stem = os.path.basename(path)
        if not os.path.isdir(path):  # strips .csv, or both suffixes of .csv.gz
            stem = PurePath(re.sub(r"\.(gz|bz2|xz|zip)$", "", stem)).stem
        data = component(stem) or data
    return component(f"{model}_{data}")


def _encodable(character: str) -> bool:
    """Returns whether the file system's encoding has the character; ASCII has no umlauts, for example."""
    try:
        os.fsencode(character)
    except UnicodeEncodeError:
        return False
    return True


for _name, _function in (("component", component), ("below", below), ("run_name", run_name)):
    OmegaConf.register_new_resolver(f"genlab.{_name}", _function, replace=True)
