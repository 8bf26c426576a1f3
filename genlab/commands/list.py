"""`genlab list [models|data|presets]`: what there is, with one line each. Reads the source; imports none of it."""

import ast
from pathlib import Path

import yaml

from genlab import configs
from genlab.errors import choose

KINDS = {"models": "model", "data": "data", "presets": "experiment"}


def show(arguments: list[str]) -> None:
    """Print the tables.

    Raises:
        UserError: a word that is no table.
    """
    for word in arguments:
        choose("genlab list", word, KINDS)
    for kind in arguments or KINDS:
        print(f"{kind} ({KINDS[kind]}=...)")
        paths = sorted((configs() / KINDS[kind]).glob("*.yaml"))
        width = max(len(path.stem) for path in paths)
        for path in paths:
            print(f"  {path.stem:{width}}  {describe(path)}")
        print()


def describe(path: Path) -> str:
    """One line on a config: its leading comment, else the first line of its target's docstring."""
    text = path.read_text()
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    if comments:
        return comments[0]
    node = yaml.safe_load(text)
    target = (node.get("model") or node)["_target_"]
    module, _, name = target.rpartition(".")
    source = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
    for statement in ast.parse(source.read_text()).body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return (ast.get_docstring(statement) or "").split("\n")[0]
    return ""
