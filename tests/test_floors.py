"""The house of six floors: no arrow back up, no circle of modules or of rooms."""

import ast
from pathlib import Path

import genlab

ROOT = Path(genlab.__file__).parent
# From the ground up; rooms on one floor may use one another as long as there is no circle.
FLOORS = (
    ("errors", "machine", "__init__"),
    ("networks", "metrics", "data", "runs"),
    ("models", "plots"),
    ("config", "trainer", "evaluation", "report"),
    ("commands", "sweep"),
    ("cli", "__main__", "loaded"),
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def imports() -> dict[str, set[str]]:
    """For each module, by dotted name below genlab, the modules of genlab that it imports anywhere.

    The package itself is the ground floor, and its front door: that `genlab.load` opens on the top floor is left out.
    """
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        targets = found.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "genlab":
                module = (node.module or "")[len("genlab") :].lstrip(".")
                for alias in node.names:
                    inner = f"{module}.{alias.name}" if module else alias.name
                    is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").exists()
                    targets.add(inner if is_module else module or "__init__")
    found["__init__"].discard("loaded")
    return found


def test_every_module_has_a_room():
    assert {name.split(".")[0] for name in imports()} <= set(FLOOR)


def test_no_arrow_points_up():
    wrong = [
        (name, target)
        for name, targets in imports().items()
        for target in targets
        if FLOOR[target.split(".")[0]] > FLOOR[name.split(".")[0]]
    ]
    assert wrong == []


def refuse_circles(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' > '.join([*path, name])}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_there_is_no_circle_of_modules():
    refuse_circles(imports())


def test_there_is_no_circle_of_rooms():
    graph: dict[str, set[str]] = {}
    for name, targets in imports().items():
        room = name.split(".")[0]
        graph.setdefault(room, set()).update({target.split(".")[0] for target in targets} - {room})
    refuse_circles(graph)


def test_execution_takes_only_the_options_from_the_rest_of_the_trainer():
    inside = {name: targets for name, targets in imports().items() if name.startswith("trainer.execution.")}
    taken = {target for targets in inside.values() for target in targets if target.startswith("trainer.")}
    assert taken - inside.keys() == {"trainer.options"}


def test_only_build_instantiates():
    users = [path.name for path in ROOT.rglob("*.py") if "import instantiate" in path.read_text()]
    assert users == ["build.py"]


def test_hydra_is_known_to_config_alone_and_to_the_sweep_which_is_a_plugin_of_it():
    users = {
        path.relative_to(ROOT).parts[0]
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
        if name.split(".")[0] == "hydra"
    }
    assert users == {"config", "sweep"}
