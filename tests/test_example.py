"""The example in scripts/ works as described, in any thread, and leaves nothing behind."""

import runpy
import signal
import threading
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "scripts" / "example.py"


def test_the_example_learns_in_a_thread_and_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    """Runs it as a notebook kernel may: outside the main thread, with its own signal handlers, without a terminal."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    names: dict = {}
    errors: list[BaseException] = []

    def kernel() -> None:
        try:
            names.update(runpy.run_path(str(EXAMPLE)))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=kernel)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    assert errors == []
    assert names["points"].shape == (1000, 2)
    # At least the entropy, up to chance in 1000 points (σ of the mean: 0.03 nats), and near it after few steps.
    assert names["nats"].item() == pytest.approx(names["data"].truth.entropy(), abs=0.3)
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert list(tmp_path.iterdir()) == []
    assert "nats per test point" in capsys.readouterr().out


def test_the_example_is_short_and_does_not_use_hydra():
    code = [line for line in EXAMPLE.read_text().split('"""')[2].splitlines() if line.strip()]
    assert not any("hydra" in line for line in code)
    assert len([line for line in code if "import" not in line]) <= 14
