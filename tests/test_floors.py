"""The layers of the package (`scripts/rooms.py`): no import goes up a floor, and there are no import cycles."""

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from rooms import BEGIN, END, FLOORS, PAGE, ROOT, drawing, imports, rooms

FLOOR = {room: height for height, inside in enumerate(FLOORS) for room in inside}


def test_every_module_has_a_room():
    assert {name.split(".")[0] for name in imports()} <= set(FLOOR)


def test_no_module_imports_from_a_higher_floor():
    wrong = [
        (name, target)
        for name, targets in imports().items()
        for target in targets
        if FLOOR[target.split(".")[0]] > FLOOR[name.split(".")[0]]
    ]
    assert wrong == []


def assert_no_cycle(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import cycle: {' > '.join([*path, name])}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_modules_have_no_import_cycle():
    assert_no_cycle(imports())


def test_rooms_have_no_import_cycle():
    assert_no_cycle(rooms())


def test_the_drawing_matches_the_imports():
    assert PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0] == drawing()


def test_execution_imports_only_the_options_from_the_rest_of_the_trainer():
    inside = {name: targets for name, targets in imports().items() if name.startswith("trainer.execution.")}
    taken = {target for targets in inside.values() for target in targets if target.startswith("trainer.")}
    assert taken - inside.keys() == {"trainer.options"}


def test_only_build_imports_instantiate():
    users = [path.name for path in ROOT.rglob("*.py") if "import instantiate" in path.read_text()]
    assert users == ["build.py"]


def test_only_config_and_the_sweep_plugin_import_hydra():
    users = {
        path.relative_to(ROOT).parts[0]
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] == "hydra"
    }
    assert users == {"config", "sweep"}
