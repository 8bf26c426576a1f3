"""Command lines with one wrong word, and the error that each gives."""

import pytest

NEAR = [
    ("trian model=vae", "'trian' is not a command; did you mean 'train'?"),
    ("train model=wgan-gp", "did you mean 'wgan_gp'?"),
    ("train data=fashion_mnist", "did you mean 'fashionmnist'?"),
    ("train experiment=fashionmnist_wgangp", "did you mean 'fashionmnist_wgan_gp'?"),
    ("train experiment=[gaussian2d_vea]", "did you mean 'gaussian2d_vae'?"),
    ("train experimnt=mnist_vae", "did you mean 'experiment'?"),
    ("train debug=overfits", "did you mean 'overfit'?"),
    ("train model=vae model.encodr.hidden=[64]", "did you mean 'model.encoder.hidden'?"),
    ("train optimizer.critc.lr=1e-3", "did you mean 'optimizer.critic.lr'?"),
    (
        "train tuned=mnist_va model=vae",
        "no defaults are called 'mnist_va'; write DATA_MODEL or none; did you mean 'mnist_vae'?",
    ),
    ("train -m seed=0,1 tuned=mnist_va", "did you mean 'mnist_vae'?"),
    ("train lr=1e-3", "did you mean 'optimizer.critic.lr'?"),
    ("train trainer.step=100", "did you mean 'steps'?"),
    ("train steps=100", "did you mean 'trainer.steps'?"),
    ("train trainer.steps=1e3", "trainer.steps: 1000.0 is not an integer"),
    ("train trainer.steps=???", "'trainer.steps' needs a value: add trainer.steps=..."),
    ("train name=???", "'name' needs a value: add name=..."),
    ("train trainer.overfit_batches=-1", "trainer.overfit_batches: must be >= 0, got -1"),
    ("train +foo=1", "unknown option 'foo'"),
    ("train ++seeds=3", "unknown option 'seeds'; did you mean 'seed'?"),
    ("train +trainer.foo=1", "unknown option 'trainer.foo'"),
    ("train +model.x=1", "unknown option 'model.x'"),
    ("train +optimizer.foo={_target_:torch.optim.Adam}", "unknown option 'optimizer.foo'"),
    ("train +hydra.foo=1", "unknown option 'hydra.foo'"),
    ("train +experiment=gaussian2d_vae", "write experiment=gaussian2d_vae, once and without +"),
    ("train ~model", "~model: cannot be removed"),
    ("train model = vae", "write key=value, without spaces"),
    (
        "train model=vae model.conditional=true",
        "model.conditional does not belong to vae; families with it: autoregressive, ddpm, ",
    ),
    (
        "train model=vae +model.conditional=true",
        "model.conditional does not belong to vae; families with it: autoregressive, ddpm, ",
    ),
    ("train model=vae optimizer.critic.lr=1", "optimizer.critic.lr does not belong to vae; families with it: ctgan, "),
    ("train model=0", "model: '0' is none of autoencoder, "),
    ("train model=null", "model: 'null' is none of autoencoder, "),
    ("train model=[vae]", "model: '[vae]' is none of autoencoder, "),
    ("train model={a:1}", "model: choose one of its configs with model=NAME"),
    ("train trainer=null", "trainer: 'null' is none of default"),
    ("train -m seed=range(0)", "seed=range(0): there are no values to sweep over"),
    ("train -m model=vae,gan model.beta=1,2", "model.beta does not belong to gan; families with it: vae, vae_gan"),
    ("train ~seed", "~seed: cannot be removed"),
    ("train ~name", "~name: cannot be removed"),
    ("train ~nope", "~nope: there is no such key"),
    ("train --config-dir", "--config-dir needs a value"),
    ("train --config-name nope", "there is no config 'nope'"),
    ("train trainer.device=[1]", "trainer.device: "),
    ("train seed=99999999999999999999", "seed: 99999999999999999999 is not an integer of 64 bits"),
    ("train =3", "'=3' cannot be read: write key=value"),
    ("train trainer.device=größe", "\"trainer.device='größe'\" is plain text"),
    ("train model.beta=(1", "model.beta=(1: the value cannot be read"),
    ("train seed=[1", "seed=[1: the value cannot be read"),
    ("train trainer.monitor=max(1)", "trainer.monitor=max(1): the value cannot be read"),
    ("train seed=range(3)", "seed=range(3): this gives several values: add -m"),
    ("train -m seed=0,1 trainer.monitor=(", "trainer.monitor=(: the value cannot be read"),
    ("train optimizer=null", "optimizer: None is not a table of optimizers"),
    ("train model=vae model.encoder=null", "model.encoder: None cannot be built"),
    ("train hydra.run.dir=null", "hydra.run.dir=null: "),
    (
        "train model=vae optimizer.model._target_=torch.optim.LBFGS",
        "LBFGS cannot be used here: its step needs",
    ),
    ("train model=vae optimizer.model._target_=torch.optim.SparseAdam", "use one such as Adam, AdamW, RMSprop or SGD"),
    ("train model=vae +optimizer.model.differentiable=true", "optimizer.model: Adam cannot be used here: "),
    (
        "train model=vae +optimizer.model.foreach=true +optimizer.model.fused=true",
        "optimizer.model: `fused` and `foreach` cannot be `True` together",
    ),
    ("train --cfg jobs", "did you mean 'job'?"),
    ("train seed=0,1", "add -m for a sweep"),
    ("train -m seed=0,1 +foo=1", "unknown option 'foo'"),
    ("train -m seed=0,1 trainer.batch_size=16,0", "trainer.batch_size: must be >= 1, got 0"),
    ("train -m seed=0,1 hydra/launcher=proceses", "did you mean 'processes'?"),
    ("train -m seed=0,1 hydra/sweeper=optna", "did you mean 'optuna'?"),
    ("train -m seed=0,1 hydra.launcher.n_job=2", "did you mean 'n_jobs'?"),
    ("train -m seed=0,1 hydra.launcher.n_jobs=two", "'two' is neither a positive integer nor auto"),
    ("train -m resume=. seed=0,1", "resume it without -m"),
    ("sample rum=x", "did you mean 'run'?"),
    ("sample run=x model=vae", "a trained run keeps its model; change single settings: model.sample_steps=10"),
    ("evaluate run=x model.k=3", "model.k: evaluation.json in the run folder is for the run's own settings; add out"),
    ("evaluate samples=x.npz data=mnist model.k=3", "model.k: does not apply to samples=FILE, which has no model"),
    ("sample run=x +foo=1", "unknown option 'foo'"),
]


@pytest.mark.parametrize(("line", "message"), NEAR, ids=[line for line, _ in NEAR])
def test_a_near_miss_gives_a_one_line_error_that_names_the_right_word(cli, tmp_path, line, message):
    code, out, err = cli(*line.split())
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("genlab: ")
    assert err.count("\n") == 1
    assert not [path for path in tmp_path.glob("**/*") if path.is_file()]


def test_a_user_key_that_the_config_refers_to_is_read(cli):
    code, out, _ = cli(
        *("train", "+rate=1e-3", "optimizer.critic.lr=${rate}", "trainer.steps=1", "trainer.device=cpu"),
        *("trainer.sample_every=0", "data.n=50", "hydra.run.dir=run"),
    )
    assert code == 0, out
    assert cli("train", "resume=run", "trainer.steps=2")[0] == 0
