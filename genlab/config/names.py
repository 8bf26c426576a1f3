"""Names of run folders, made from what a user wrote: readable, and always inside the folder they belong to.

Configs use them as resolvers: `${genlab.component:TEXT}`, `${genlab.below:NAME}`, `${genlab.run_name:MODEL,DATA}`.
"""

import hashlib
import os
import re
import sys
from pathlib import PurePath

from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError

LONGEST = 120  # bytes of a name; file systems take 255, and files in the folder add to the path
FORBIDDEN = set('/\\<>:"|?*')  # on some file system


def component(text: object) -> str:
    """Turn a text into the name of one folder.

    Quotes and leading `../` are left out, separators and control characters become `_`, dots and blanks at either end
    go, and a text of more than `LONGEST` bytes is cut and ends in a hash of all of it. May be empty.
    """
    whole = str(text)
    short = re.sub(r"(?<![^/=,\[])(\.{1,2}/)+", "", re.sub(r"[\\'\"]", "", whole))
    short = "".join("_" if c in FORBIDDEN or not c.isprintable() or not _encodable(c) else c for c in short)
    short = short.lstrip(". ").rstrip(". ")
    encoded = os.fsencode(short)
    if len(encoded) <= LONGEST:
        return short
    digest = hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:8]
    start = encoded[: LONGEST - 9].decode(sys.getfilesystemencoding(), "ignore")  # the cut may be inside a character
    return f"{start}_{digest}"


def below(name: object) -> str:
    """Turn the `name` of a run into a path below outputs/; `study/a` makes two folders.

    Raises:
        UserError: the name is absolute, or has `..` in it.
    """
    if name is None:
        return ""
    parts = str(name).replace("\\", "/").split("/")
    if PurePath(str(name)).is_absolute() or ".." in parts:
        raise UserError(f"name: '{name}' leads out of outputs/; write a plain name, or hydra.run.dir=FOLDER")
    return "/".join(filter(None, map(component, parts)))


def run_name(model: object, data: object, *, _root_: DictConfig) -> str:
    """Name a run after its model and data; one on the user's own file or folder after that: flow_adult."""
    path = OmegaConf.select(_root_, "data.path", default=None)
    if isinstance(path, str) and path:
        path = os.path.abspath(os.path.expanduser(path))
        stem = os.path.basename(path)
        if not os.path.isdir(path):  # without .csv, and without both of .csv.gz
            stem = PurePath(re.sub(r"\.(gz|bz2|xz|zip)$", "", stem)).stem
        data = component(stem) or data
    return component(f"{model}_{data}")


def _encodable(character: str) -> bool:
    """Whether the file system's encoding has the character: ASCII has no umlauts."""
    try:
        os.fsencode(character)
    except UnicodeEncodeError:
        return False
    return True


for _name, _function in (("component", component), ("below", below), ("run_name", run_name)):
    OmegaConf.register_new_resolver(f"genlab.{_name}", _function, replace=True)
