"""scripts/results/check_reference.py shows our results next to published ones and how the settings differ."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "results"))
import check_reference


def make_run(folder: Path, net: str, samples: int = 10_000) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(
        "model: {_target_: genlab.models.gan.GAN, loss: hinge}\ndata: {_target_: genlab.data.mnist.MNIST}\n"
        "trainer: {}\noptimizer: {}\nseed: 0\nname: x\n"
    )
    report = {"net": {"name": net}, "samples": samples, "reference": 10_000, "measures": {"fid": {"value": 12.5}}}
    (folder / "evaluation.json").write_text(json.dumps(report))
    return folder


def test_settings_are_compared_before_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = make_run(tmp_path / "a", "inception(torch-fidelity)") / "config.yaml"
    config.write_text(config.read_text().replace("hinge", "non_saturating"))
    make_run(tmp_path / "b", "classifier(MNIST 1x28x28)", samples=500)
    assert check_reference.main([str(tmp_path / "a")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fid")]
    assert [line for line in rows if "same setting" in line] == [line for line in rows if " 6.8 " in line]
    assert len(rows) == 3
    assert check_reference.main([str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert "net classifier for inception, samples 500 for 10000" in out
    assert "same setting" not in out


def test_a_missing_run_gives_a_one_line_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert check_reference.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert check_reference.main([]) == 2
