"""Draws the packages of genlab ("rooms") by their imports, floor by floor, into genlab/README.md.

python scripts/rooms.py          write the diagram (Mermaid, which GitHub renders)
python scripts/rooms.py --check  exit with 1 if the diagram does not match the code
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "genlab"
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- rooms: drawn by scripts/rooms.py -->\n", "<!-- end of rooms -->"
# From the ground up; rooms on the same floor may use each other as long as there is no cycle.
FLOORS = (
    ("errors", "machine", "__init__"),
    ("networks", "metrics", "data", "runs"),
    ("models", "plots"),
    ("config", "trainer", "evaluation", "report"),
    ("commands", "sweep"),
    ("cli", "__main__", "loaded"),
)
HIDDEN = {"errors", "machine", "__init__", "__main__"}  # used by nearly everything, so arrows to them say nothing


def imports() -> dict[str, set[str]]:
    """Returns the genlab modules that each module imports anywhere, by dotted name below genlab.

    The package itself is on the ground floor; its import of the top floor for `genlab.load` is left out.
    """
    graph: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        targets = graph.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "genlab":
                module = (node.module or "")[len("genlab") :].lstrip(".")
                for alias in node.names:
                    inner = f"{module}.{alias.name}" if module else alias.name
                    is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").exists()
                    targets.add(inner if is_module else module or "__init__")
    graph["__init__"].discard("loaded")
    return graph


def rooms() -> dict[str, set[str]]:
    """Returns the rooms that each room uses."""
    graph: dict[str, set[str]] = {}
    for name, targets in imports().items():
        room = name.split(".")[0]
        graph.setdefault(room, set()).update({target.split(".")[0] for target in targets} - {room})
    return graph


def essential(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Returns the arrows that others do not imply: without a > c if there are a > b and b > c."""

    def below(room: str) -> set[str]:
        reached: set[str] = set()
        for target in graph.get(room, ()):
            reached |= {target} | below(target)
        return reached

    return sorted(
        (room, target)
        for room, targets in graph.items()
        for target in targets
        if not any(target in below(other) for other in targets - {target})
    )


def drawing() -> str:
    """Returns the floors as a Mermaid graph."""
    graph = {room: targets - HIDDEN for room, targets in rooms().items() if room not in HIDDEN}
    lines = ["```mermaid", "graph TD"]
    for height, floor in reversed(list(enumerate(FLOORS))):
        shown = [room for room in floor if room in graph]
        if shown:
            lines += [f'  subgraph floor{height}[" "]', *(f"    {room}" for room in shown), "  end"]
    lines += [f"  {room} --> {target}" for room, target in essential(graph)]
    return "\n".join([*lines, "```"]) + "\n"


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    new = f"{before}{BEGIN}{drawing()}{END}{rest.split(END, 1)[1]}"
    if "--check" in sys.argv:
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
