"""User files: presets in any encoding, and modules in the current folder."""

import sys

import pytest

TRAIN = ("train", "trainer.device=cpu", "trainer.batch_size=16", "data.n=100")


@pytest.fixture
def preset(tmp_path):
    """Returns a function that writes a user preset, for --config-dir conf."""

    def write(name: str, content: bytes) -> None:
        folder = tmp_path / "conf" / "experiment"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_bytes(content)

    return write


def test_a_preset_with_a_byte_order_mark_is_read(cli, preset):
    text = "# @package _global_\r\ndefaults:\r\n  - override /model: vae\r\nname: größe\r\n"
    preset("marked", text.encode("utf-8-sig"))
    code, out, err = cli("train", "--config-dir", "conf", "experiment=marked", "--cfg", "job")
    assert (code, err) == (0, "")
    assert "genlab.models.vae.VAE" in out
    assert "name: größe" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: größe".encode("latin-1"), "own.yaml is not UTF-8 text"),
        (b"name: [a", "own.yaml cannot be read as a config"),
        (b"- a", "own.yaml is a list"),
        (b"# @package a b", "own.yaml cannot be read as a config: Too many"),
    ],
)
def test_a_damaged_preset_gives_a_one_line_error(cli, preset, content, message):
    preset("own", content)
    code, out, err = cli("train", "--config-dir", "conf", "experiment=own")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_allowed_targets_are_found_in_the_current_folder(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    before = list(sys.path)
    (tmp_path / "own_net.py").write_text("from genlab.networks.choice import decoder as make\n")
    (tmp_path / "random.py").write_text("raise AssertionError('taken for the standard library')\n")
    words = (*TRAIN, "model=vae", "trainer.steps=1", "trainer.sample_every=0", "model.decoder._target_=own_net.make")
    code, _, err = cli(*words, "hydra.run.dir=run")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = cli(*words, "hydra.run.dir=run", "--allow-targets")
    assert (code, err) == (0, "")
    assert sys.path == before
    monkeypatch.setenv("GENLAB_ALLOW_TARGETS", "1")
    assert cli("sample", "run=run", "n=2", "device=cpu")[0] == 0
