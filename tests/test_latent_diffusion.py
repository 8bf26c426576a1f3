"""Latent diffusion: the autoencoder is kept as it is, or is trained along with the prior."""

import shutil
from pathlib import Path

import pytest
import torch
from closed_forms import POINTS, batch, small
from omegaconf import OmegaConf

from genlab.config import build
from genlab.data.base import Spec
from genlab.data.fields import numeric
from genlab.errors import UserError
from genlab.models.base import Family
from genlab.models.ddpm import DDPM
from genlab.models.gan import GAN
from genlab.models.latent_diffusion import LatentDiffusion
from genlab.models.vae import VAE
from genlab.runs.folder import Run
from genlab.trainer import checkpoint


def small_prior(spec: Spec) -> DDPM:
    return DDPM(spec, sample_steps=3, net=small)


def latent(autoencoder: Family | None = None) -> LatentDiffusion:
    return LatentDiffusion(POINTS, autoencoder, own=lambda spec: VAE(spec, z_dim=3), prior=small_prior)


def test_a_given_autoencoder_is_not_trained() -> None:
    torch.manual_seed(0)
    vae = VAE(POINTS, z_dim=3)
    model = latent(vae).train()
    assert not vae.training
    assert model.prior.training
    assert model.prior.spec == Spec((3,), 2)
    assert not any(p.requires_grad for p in vae.parameters())
    model.loss(batch(POINTS)).loss.backward()
    assert any(p.grad is not None for p in model.prior.parameters())
    assert model.sample(4).shape == (4, 2)
    other = latent(VAE(POINTS, z_dim=3))
    other.load_state_dict(model.state_dict())  # the checkpoint holds the autoencoder
    x = torch.randn(4, 2)
    assert torch.equal(other.reconstruct(x), model.reconstruct(x))


def test_an_own_autoencoder_is_trained_only_by_its_own_loss() -> None:
    """The prior's loss sends no gradient into the autoencoder."""
    torch.manual_seed(0)
    model, data = latent(), batch(POINTS)
    own = list(model.autoencoder.parameters())
    torch.manual_seed(1)
    together = torch.autograd.grad(model.loss(data).loss, own)
    (phase,) = model.autoencoder.phases()
    torch.manual_seed(1)
    (prior,) = model.prior.phases()
    prior.loss(data | {"x": model.coder.encode(data["x"])})  # draws the same noise first
    for a, b in zip(together, torch.autograd.grad(phase.loss(data).loss, own), strict=True):
        torch.testing.assert_close(a, b)


def test_an_autoencoder_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.range"):
        latent(VAE(Spec((2,), fields="unit")))
    with pytest.raises(UserError, match="cannot encode"):
        latent(GAN(POINTS))


def test_the_autoencoder_can_come_from_a_run(tmp_path: Path) -> None:
    """With `model.autoencoder=RUN`, the model gets the family trained in that run folder."""
    run, vae = Run(tmp_path), VAE(POINTS, z_dim=3)
    vae_node = {"_target_": "genlab.models.vae.VAE", "z_dim": 3}
    run.write_config(OmegaConf.create({"model": vae_node, "data": {}, "trainer": {}, "optimizer": {}, "seed": 0}))
    spec = [list(POINTS.shape), POINTS.classes, POINTS.values]
    checkpoint.save(run.checkpoints, {"step": 1, "spec": spec, "family": vae.state_dict(), "ema": None}, keep=0)
    node = {"_target_": "genlab.models.latent_diffusion.LatentDiffusion", "autoencoder": str(tmp_path)}
    config = OmegaConf.create({"model": node})
    OmegaConf.set_struct(config, True)
    model = build.family(config, POINTS)
    assert isinstance(model, LatentDiffusion)
    assert model.frozen
    x = torch.randn(4, 2)
    assert torch.equal(model.reconstruct(x), vae.reconstruct(x))
    config.model.autoencoder = str(tmp_path / "none")
    with pytest.raises(UserError, match=r"model\.autoencoder: no folder"):
        build.family(config, POINTS)


def test_an_autoencoder_of_other_columns_is_refused() -> None:
    a, b, c = (numeric(name, 0.0, 1.0) for name in "abc")
    vae = VAE(Spec((2,), fields=(a, b)), z_dim=3)
    with pytest.raises(UserError, match=r"other columns \(a, b\) than this data has \(a, c\)"):
        LatentDiffusion(Spec((2,), fields=(a, c)), vae, prior=small_prior)
    with pytest.raises(UserError, match=r"other columns \(a, b\) than this data has \(none\)"):
        LatentDiffusion(Spec((2,)), vae, prior=small_prior)
    units = Spec((2,), fields=(a._replace(mean=5.0), b))  # the same columns with another mean
    assert LatentDiffusion(units, vae, prior=small_prior).sample(3).shape == (3, 2)


def test_a_run_keeps_its_own_copy_of_the_autoencoder(cli, tmp_path, monkeypatch) -> None:
    """It can be moved, then sampled, evaluated, resumed and rerun without the autoencoder's folder."""
    quick = ("trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu", "data.n=50", "data.kind=ring")
    quick += ("trainer.sample_every=0", "trainer.evaluate_every=0")
    assert cli("train", "model=vae", *quick, "hydra.run.dir=AE")[0] == 0
    latent = ("model=latent_diffusion", "model.autoencoder=AE", "model.prior.sample_steps=2")
    assert cli("train", *latent, *quick, "hydra.run.dir=LD")[0] == 0
    weights = checkpoint.read(tmp_path / "LD" / "checkpoints" / "last.pt")["family"]
    shutil.rmtree(tmp_path / "AE")
    (tmp_path / "else" / "where").mkdir(parents=True)
    (tmp_path / "LD").rename(tmp_path / "else" / "X")
    monkeypatch.chdir(tmp_path / "else" / "where")
    for words in (
        ("sample", "run=../X", "n=3"),
        ("evaluate", "run=../X", "samples=4"),
        ("train", "resume=../X", "trainer.steps=3"),
        ("train", "--config-dir", "../X", "hydra.run.dir=Y"),
        ("train", "resume=../X", "trainer.steps=4", "model.autoencoder=AE"),  # the same as in its config
    ):
        code, _, err = cli(*words)
        assert (code, err) == (0, ""), words
    for words in (("train", "resume=../X", "trainer.steps=9"), ("sample", "run=../X")):
        code, _, err = cli(*words, "model.autoencoder=other")
        assert (code, err.count("\n")) == (2, 1)
        assert "keeps its own copy" in err
    shutil.rmtree(tmp_path / "else" / "X")
    shutil.rmtree("Y/checkpoints")  # killed before its first checkpoint
    code, _, err = cli("train", "resume=Y")
    assert code == 0, err
    again = checkpoint.read(Path("Y/checkpoints/last.pt"))["family"]
    own = [key for key in weights if key.startswith("autoencoder.")]
    assert own
    assert all(torch.equal(weights[key], again[key]) for key in own)  # never a net with random weights
    Path("Y/autoencoder.pt").write_bytes(b"no checkpoint")
    shutil.rmtree("Y/checkpoints")
    code, _, err = cli("train", "resume=Y")
    assert (code, err.count("\n")) == (2, 2)  # the warning that there is no checkpoint, and the refusal
    assert "model.autoencoder: damaged checkpoint" in err


def test_a_conditional_prior_makes_a_conditional_model() -> None:
    model = LatentDiffusion(
        POINTS,
        own=lambda spec: VAE(spec, z_dim=3),
        prior=lambda s: DDPM(s, conditional=True, sample_steps=2, net=small),
    )
    assert model.conditional
    labels = model.draw_labels(5)
    assert labels is not None
    assert model.sample(5, labels).shape == (5, 2)
