"""Draw the rooms of genlab from the imports, floor by floor, into genlab/README.md.

python scripts/rooms.py          write the picture (Mermaid, which GitHub shows)
python scripts/rooms.py --check  exit with 1 where it is not that of the code
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "genlab"
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- rooms: drawn by scripts/rooms.py -->\n", "<!-- end of rooms -->"
# From the ground up; rooms on one floor may use one another as long as there is no circle.
FLOORS = (
    ("errors", "machine", "__init__"),
    ("networks", "metrics", "data", "runs"),
    ("models", "plots"),
    ("config", "trainer", "evaluation", "report"),
    ("commands", "sweep"),
    ("cli", "__main__", "loaded"),
)
HIDDEN = {"errors", "machine", "__init__", "__main__"}  # what everybody uses tells nothing


def imports() -> dict[str, set[str]]:
    """For each module, by dotted name below genlab, the modules of genlab that it imports anywhere.

    The package itself is the ground floor, and its front door: that `genlab.load` opens on the top floor is left out.
    """
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        targets = found.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "genlab":
                module = (node.module or "")[len("genlab") :].lstrip(".")
                for alias in node.names:
                    inner = f"{module}.{alias.name}" if module else alias.name
                    is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").exists()
                    targets.add(inner if is_module else module or "__init__")
    found["__init__"].discard("loaded")
    return found


def rooms() -> dict[str, set[str]]:
    """For each room the rooms that it uses."""
    graph: dict[str, set[str]] = {}
    for name, targets in imports().items():
        room = name.split(".")[0]
        graph.setdefault(room, set()).update({target.split(".")[0] for target in targets} - {room})
    return graph


def essential(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows without those that others imply: a > c where there are a > b and b > c."""

    def below(room: str) -> set[str]:
        found: set[str] = set()
        for target in graph.get(room, ()):
            found |= {target} | below(target)
        return found

    return sorted(
        (room, target)
        for room, targets in graph.items()
        for target in targets
        if not any(target in below(other) for other in targets - {target})
    )


def drawing() -> str:
    """The floors as a Mermaid graph."""
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
