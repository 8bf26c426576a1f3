"""Feature nets are trained once, kept, the same for every caller, and leave the global random numbers alone."""

import hashlib
import runpy
import sys
from pathlib import Path

import pytest
import torch

from genlab.data.base import Dataset, Range, Split
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.mnist import MNIST
from genlab.errors import UserError
from genlab.metrics import classifier as module
from genlab.metrics import inception as inception_module
from genlab.metrics.classifier import classifier, train
from genlab.metrics.features import FeatureNet, fingerprint
from genlab.metrics.images import feature_net
from genlab.metrics.inception import Inception, inception
from genlab.networks.classifier import Classifier

CLASSES = 4


def spots(n: int = 48, shape: tuple[int, int, int] = (1, 12, 12), range: Range = "unit", seed: int = 0) -> Dataset:
    """Returns noisy images with one bright quadrant, which is the class."""
    g = torch.Generator().manual_seed(seed)

    def split(size: int) -> Split:
        x = torch.randint(120, (size, *shape), generator=g).to(torch.uint8)
        y = torch.randint(CLASSES, (size,), generator=g)
        half = shape[1] // 2
        for i, k in enumerate(y.tolist()):
            rows, columns = k // 2 * half, k % 2 * half
            x[i, :, rows : rows + half, columns : columns + half] += 80
        return Split(x, y)

    return Dataset("spots", {"train": split(n), "test": split(100)}, range, CLASSES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def net(root: Path) -> FeatureNet:
    return classifier(spots(), root, say=lambda line: None)


def kept_file(root: Path) -> Path:
    (path,) = (root / module.FOLDER).iterdir()
    return path


def images(n: int = 23) -> torch.Tensor:
    return spots().real("test", n)


def test_the_classifier_learns_and_describes_itself(net):
    assert net.accuracy is not None
    assert net.accuracy > 0.95
    assert net.balanced
    assert len(net.fingerprint) == 12
    assert str(net) == f"classifier(spots 1x12x12) {net.fingerprint}, {100 * net.accuracy:.2f} % test accuracy"
    features, logits = net(images())
    assert features.shape == (23, 128)
    assert logits.shape == (23, CLASSES)
    y = spots().splits["test"].y
    assert y is not None
    assert (net(images(100)).logits.argmax(1) == y).double().mean().item() == pytest.approx(net.accuracy)


def test_the_batch_size_does_not_change_the_features(net):
    expected = net(images())
    for chunk in (1, 7, 22):
        parts = FeatureNet("again", net.net, chunk=chunk)(images())
        # Convolutions with other batch sizes add up in another order.
        assert torch.allclose(parts.features, expected.features, atol=1e-5)
        assert torch.allclose(parts.logits, expected.logits, atol=1e-5)
    raw = spots().splits["test"].x[:23]
    assert torch.equal(net(raw).features, expected.features)  # uint8 pixels are scaled
    assert not expected.features.requires_grad
    assert not net.net.training


def test_the_classifier_is_trained_only_once(net, root, monkeypatch):
    monkeypatch.setattr(module, "train", lambda *arguments: pytest.fail("trained again"))
    lines = []
    again = classifier(spots(), root, say=lines.append)
    assert lines == []
    assert (again.fingerprint, again.accuracy, again.name) == (net.fingerprint, net.accuracy, net.name)
    assert torch.equal(again(images()).features, net(images()).features)
    # The range that a model asks for does not change the pixels.
    assert classifier(spots(range="binary"), root, say=lines.append).fingerprint == net.fingerprint


def test_other_data_or_another_recipe_is_trained_separately(net, root, monkeypatch):
    trained = []
    monkeypatch.setattr(module, "train", lambda data, device: trained.append(data) or Classifier((1, 12, 12), CLASSES))
    monkeypatch.setattr(module, "_keep", lambda *arguments: "")
    classifier(spots(seed=1), root, say=lambda line: None)
    monkeypatch.setattr(module, "RECIPE", {**module.RECIPE, "version": 0})
    classifier(spots(), root, say=lambda line: None)
    assert len(trained) == 2


def test_training_neither_reads_nor_advances_the_global_generator(net):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.no_grad():  # as measures are called
        weights = train(spots()).state_dict()
    net(images())
    assert torch.equal(torch.get_rng_state(), before)
    assert fingerprint(*weights.values()) == net.fingerprint


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other net", "not finite", "code"])
def test_a_damaged_file_is_trained_again(damage, net, root, tmp_path, monkeypatch):
    path = tmp_path / module.FOLDER / kept_file(root).name
    path.parent.mkdir()
    state = torch.load(kept_file(root), weights_only=True)
    if damage == "cut":
        path.write_bytes(kept_file(root).read_bytes()[:-1000])
    elif damage == "other net":
        torch.save({"net": Classifier((1, 12, 12), CLASSES + 1).state_dict(), "accuracy": 0.9}, path)
    elif damage == "not finite":
        torch.save({**state, "net": {k: v / 0 for k, v in state["net"].items()}}, path)
    elif damage == "code":
        torch.save({**state, "accuracy": Path("x")}, path)
    else:
        path.write_text("" if damage == "empty" else "no checkpoint")
    monkeypatch.setattr(module, "train", lambda data, device: net.net)
    lines = []
    again = classifier(spots(), tmp_path, say=lines.append)
    assert again.fingerprint == net.fingerprint
    assert lines[0].startswith(f"damaged file {path}: training the net again")
    assert len(lines) == 3
    classifier(spots(), tmp_path, say=lines.append)
    assert len(lines) == 3  # the file is good now
    assert kept_file(tmp_path) == path  # and no other file is left


def test_a_root_that_cannot_be_written_falls_back_to_the_cache(net, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file, no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "train", lambda data, device: net.net)
    lines = []
    classifier(spots(), tmp_path / "file", say=lines.append)
    assert f"saved as {kept_file(tmp_path / 'cache' / 'genlab')}" in lines[-1]
    lines.clear()
    classifier(spots(), tmp_path / "file", say=lines.append)
    assert lines == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    classifier(spots(), tmp_path / "file", say=lines.append)
    assert "is writable, so it will be trained again" in lines[-1]


def test_the_file_that_is_written_first_is_used(net, root, tmp_path, monkeypatch):
    """Two processes train at once; the other one finishes first."""

    def slow(data: Dataset, device: torch.device) -> Classifier:
        (tmp_path / module.FOLDER).mkdir()
        (tmp_path / module.FOLDER / kept_file(root).name).write_bytes(kept_file(root).read_bytes())
        return Classifier(data.spec.shape, data.spec.classes)

    monkeypatch.setattr(module, "train", slow)
    lines = []
    assert classifier(spots(), tmp_path, say=lines.append).fingerprint == net.fingerprint
    assert "another process was faster" in lines[-1]


def test_data_without_labels_or_pixels_is_refused(tmp_path):
    unlabelled = spots()
    unlabelled = Dataset("plain", {"train": Split(unlabelled.splits["train"].x)}, "unit")
    for data in (unlabelled, Gaussian2D(n=20)):
        with pytest.raises(UserError, match="images with labels"):
            classifier(data, tmp_path)
    with pytest.raises(UserError, match="did you mean 'inception'"):
        feature_net("inceptoin", spots(), tmp_path)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (3, 64, 64), (3, 8, 12), (1, 3, 3)])
def test_the_net_accepts_images_of_every_size(shape):
    net = Classifier(shape, 10).eval()
    features, logits = net(torch.rand(2, *shape))
    assert features.shape == (2, 128)
    assert logits.shape == (2, 10)
    assert features.min() >= 0


def test_fingerprints_distinguish_values_shapes_and_types():
    x = torch.arange(6)
    prints = {fingerprint(t) for t in (x, x.view(2, 3), x.int(), x + 1, x.float())}
    assert len(prints) == 5
    assert fingerprint(x, x + 1) != fingerprint(x + 1, x)
    assert fingerprint(x.view(2, 3).T) == fingerprint(x.view(2, 3).T.contiguous())


def test_inception_says_which_file_is_missing_or_damaged(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    runpy.run_path(str(inception_module.__file__))  # the module itself does without the package
    with pytest.raises(UserError, match="pip install torch-fidelity"):
        inception(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError, match=rf"no weights; put the file https.*{inception_module.WEIGHTS}"):
        inception_module.weights_file(tmp_path)
    path = tmp_path / "torch" / "hub" / "checkpoints" / inception_module.WEIGHTS
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is damaged"):
        inception_module.weights_file(tmp_path)
    digest = hashlib.sha256(b"something else").hexdigest()[:8]
    monkeypatch.setattr(inception_module, "WEIGHTS", f"weights-{digest}.pth")
    path.rename(path.with_name(f"weights-{digest}.pth"))
    assert inception_module.weights_file(tmp_path).name == f"weights-{digest}.pth"


def test_inception_is_given_eight_bit_rgb():
    class Echo(torch.nn.Module):
        def forward(self, x):
            assert x.dtype == torch.uint8
            return x.flatten(1)[:, :5].float(), x[:, :, 0, 0].float()

    gray = torch.tensor([0.0, 0.5, 1.0, 0.2]).view(1, 1, 2, 2)
    features, corner = Inception(Echo())(gray)
    assert features.tolist() == [[0, 128, 255, 51, 0]]
    assert corner.tolist() == [[0, 0, 0]]


@pytest.mark.real_data
def test_a_short_training_recognises_digits(monkeypatch):
    monkeypatch.setattr(module, "RECIPE", {**module.RECIPE, "passes": 2})
    data = MNIST(limit=3000)
    accuracy = module.test_accuracy(train(data), data.splits["test"])
    assert accuracy is not None
    assert accuracy > 0.9
