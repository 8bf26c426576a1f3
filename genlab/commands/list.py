"""`genlab list [models|data|presets|measures]`: prints a line for each. Reads the source without importing it."""

import ast
from pathlib import Path

import yaml

from genlab import configs
from genlab.errors import choose
from genlab.metrics.measure import sign

KINDS = {"models": "model", "data": "data", "presets": "experiment", "measures": ""}
METRICS = Path(__file__).parents[1] / "metrics"


def show(arguments: list[str]) -> None:
    """Print the tables.

    Raises:
        UserError: a word is not the name of a table.
    """
    for word in arguments:
        choose("genlab list", word, KINDS)
    for kind in arguments or KINDS:
        if kind == "measures":
            show_measures()
            continue
        print(f"{kind} ({KINDS[kind]}=...)")
        paths = sorted((configs() / KINDS[kind]).glob("*.yaml"))
        width = max(len(path.stem) for path in paths)
        for path in paths:
            print(f"  {path.stem:{width}}  {describe(path)}")
        print()


def show_measures() -> None:
    """Print each `Measure(name, text, better, unit)` in the files of metrics/, with which direction is better."""
    measures = {}
    for path in sorted(METRICS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Measure":
                name, text, better = (ast.literal_eval(argument) for argument in node.args[:3])
                measures[name] = f"{sign(better):7} {text}"
    measures = {
        name: text for name, text in measures.items() if name.removesuffix("_error") not in set(measures) - {name}
    }
    print("measures (genlab evaluate)")
    width = max(map(len, measures))
    for name, text in measures.items():
        print(f"  {name:{width}}  {text}")
    print()


def describe(path: Path) -> str:
    """Returns one line on a config: its first comment, else the first line of its target's docstring."""
    text = path.read_text(encoding="utf-8")
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    if comments:
        return comments[0]
    node = yaml.safe_load(text)
    target = (node.get("model") or node)["_target_"]
    module, _, name = target.rpartition(".")
    source = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return (ast.get_docstring(statement) or "").split("\n")[0]
    return ""
