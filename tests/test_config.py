"""Every config and preset builds, and the presets are the recipes that they are named after."""

import re

import pytest
import torch
from conftest import MODELS, PRESETS, config, models_of, rows
from omegaconf import OmegaConf

from genlab import configs
from genlab.config import build
from genlab.config.compose import compose
from genlab.config.signature import target_of
from genlab.data.base import Spec
from genlab.data.fields import Field
from genlab.data.table import Table
from genlab.errors import UserError
from genlab.models.base import Family, Sampler


def spec(composed) -> Spec:
    if "Gaussian2D" in composed.data._target_:
        return Spec((2,), 2, "real")
    if "Sines" in composed.data._target_ or "Series" in composed.data._target_:
        return Spec((5, 24))
    if "Synthetic" in composed.data._target_ or "Molecule" in composed.data._target_:
        present, edge = Field("present", "present", part="node"), Field("edge", "category", 2, part="edge")
        return Spec((), fields=(present, edge), nodes=5)
    if "Table" in composed.data._target_:
        return Table(rows(), numeric=composed.data.numeric).spec
    reach = target_of(composed.model, "model").prefers if composed.data.range == "auto" else composed.data.range
    return Spec((1, composed.data.size, composed.data.size), 10, reach)


def family(*overrides: str) -> Family:
    composed = config(*overrides)
    torch.manual_seed(0)
    return build.family(composed, spec(composed))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_build_and_describe_themselves(preset):
    composed = config(f"experiment={preset}")
    options = build.options(composed)
    model = build.family(composed, spec(composed))
    factories = build.optimizers(composed)
    for phase in model.phases():
        factories[phase.name]([torch.nn.Parameter(torch.zeros(1))])
    assert options.epochs is None  # otherwise trainer.steps=N would have no effect with a preset
    text = (configs() / "experiment" / f"{preset}.yaml").read_text()
    assert text.splitlines()[1].startswith("# ")
    source = {"stocks": "series", "community": "synthetic", "molecules": "molecule"}.get(
        preset.split("_")[0], preset.split("_")[0]
    )
    assert source in composed.data._target_.lower()


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("model", models_of("images"))
def test_every_model_builds_for_every_image_size(model, size):
    composed = config(f"model={model}", "data=mnist", f"data.size={size}")
    reach = target_of(composed.model, "model").prefers
    with torch.no_grad():
        built = build.family(composed, Spec((1, size, size), 10, reach))
        assert sum(p.numel() for p in built.parameters()) > 0
        if isinstance(built, Sampler):
            built.eval()
            assert built.sample(2).shape == (2, 1, size, size)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "model=vae", "data=array", "data.path=a (1), ü.csv", "trainer.steps=3"),
        ("sample", "run=outputs/run [1]", "model.sample_steps=10"),
    ],
)
def test_compose_returns_the_config_that_the_command_line_shows(cli, words):
    code, out, err = cli(*words, "--cfg", "job")
    assert (code, err) == (0, "")
    assert OmegaConf.create(out) == compose(words[0], words[1:])


def shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for name, p in module.named_parameters() if p.dim() > 1]


def test_presets_have_exactly_the_tutorials_architectures():
    vae = family("experiment=mnist_vae")
    assert shapes(vae) == [(400, 784), (40, 400), (400, 20), (784, 400)]
    ae = family("experiment=mnist_autoencoder")
    assert shapes(ae) == [(128, 784), (64, 128), (128, 64), (784, 128)]
    toy = family("experiment=gaussian2d_wgan_gp")
    assert shapes(toy) == [(128, 2), (128, 128), (2, 128), (128, 2), (128, 128), (1, 128)]
    fashion = family("experiment=fashionmnist_wgan_gp")
    assert shapes(fashion) == [(256, 64), (512, 256), (1024, 512), (784, 1024), (512, 784), (256, 512), (1, 256)]
    norms = [type(m).__name__ for m in fashion.get_submodule("generator").modules()]
    assert norms.count("BatchNorm1d") == 3
    dcgan = family("experiment=mnist_dcgan")
    assert shapes(dcgan.get_submodule("generator")) == [
        (100, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 64, 4, 4),
        (64, 1, 4, 4),
    ]
    assert shapes(dcgan.get_submodule("discriminator")) == [
        (64, 1, 4, 4),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (512, 256, 4, 4),
        (1, 512, 4, 4),
    ]


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_presets_of_series_have_the_nets_they_name():
    vae = family("experiment=stocks_time_vae")
    convolutions = [m for m in vae.get_submodule("encoder").modules() if isinstance(m, torch.nn.Conv1d)]
    assert [m.out_channels for m in convolutions] == [50, 100, 200]
    assert shapes(vae.get_submodule("decoder"))[-1] == (120, 120)  # dense
    lstm = family("experiment=sines_lstm_vae")
    assert shapes(lstm.get_submodule("encoder"))[:2] == [(256, 5), (256, 64)]  # four gates of 64 units
    for preset, net, most in (
        ("stocks_flow_matching", "UNet1d", 250_000),
        ("sines_ddpm", "UNet1d", 270_000),
        ("sines_diffwave", "DiffWave", 500_000),
        ("stocks_diffwave", "DiffWave", 500_000),
    ):
        built = family(f"experiment={preset}").get_submodule("net")
        assert type(built).__name__ == net
        assert 0.9 * most < size(built) < most


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("stocks_timegan", {"lr": 1e-3, "batch_size": 128, "steps": 15000, "ema": 0}),
        ("gaussian2d_wgan_gp", {"lr": 1e-4, "betas": [0.5, 0.9], "batch_size": 64, "steps": 7812}),
        ("gaussian2d_gan", {"lr": 2e-4, "betas": [0.5, 0.999], "batch_size": 64, "steps": 15625}),
        ("mnist_vae", {"lr": 1e-3, "batch_size": 128, "steps": 4690}),
        ("mnist_gan", {"lr": 1e-3, "batch_size": 128, "steps": 4690}),
        ("mnist_dcgan", {"lr": 2e-4, "betas": [0.5, 0.999], "batch_size": 128, "steps": 2345}),
        ("fashionmnist_wgan_gp", {"lr": 1e-4, "betas": [0.5, 0.9], "batch_size": 128, "steps": 2345}),
    ],
)
def test_presets_have_the_tutorials_optimizers_and_batch_sizes(preset, expected):
    composed = config(f"experiment={preset}")
    for optimizer in composed.optimizer.values():
        settings = {str(key): node[key] for node in (optimizer, composed.trainer) for key in node}
        assert {key: settings[key] for key in expected} == expected


def test_presets_do_not_use_the_tuned_defaults():
    def standalone(preset: str) -> bool:
        text = (configs() / "experiment" / f"{preset}.yaml").read_text()
        base = re.search(r"^defaults:\n  - (\w+)$", text, re.MULTILINE)
        return "override /tuned: none" in text or (base is not None and standalone(base[1]))

    assert [preset for preset in PRESETS if not standalone(preset)] == []


def test_tuned_files_are_named_after_existing_data_and_models():
    data = {path.stem for path in (configs() / "data").glob("*.yaml")}
    for path in (configs() / "tuned").glob("*.yaml"):
        if path.stem != "none":
            assert path.stem.split("_", 1)[0] in data
            assert path.stem.split("_", 1)[1] in MODELS


def test_schedules_do_not_depend_on_the_length_of_the_run():
    """Otherwise a run resumed with more steps would differ from one that had them from the start."""
    tuned = [path.stem.split("_", 1) for path in (configs() / "tuned").glob("*_*.yaml")]
    chosen = [(f"data={data}", f"model={model}") for data, model in tuned] + [(f"experiment={p}",) for p in PRESETS]
    for overrides in chosen:
        options = build.options(config(*overrides))
        assert options.schedule == "constant" or (options.decay_steps and options.decay_to), overrides


def test_the_range_follows_the_model_and_can_be_set():
    assert family("model=gan", "data=mnist").spec.values == "symmetric"
    assert family("model=vae", "data=mnist").spec.values == "unit"
    assert family("model=vae", "data=mnist", "data.range=binary").spec.values == "binary"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.z_dim=abc", "model.z_dim: 'abc' is not an integer"),
        ("model.gp_weight=true", "model.gp_weight: True is not a number"),
        ("+model.beta=3", "model.beta does not belong to wgan_gp; families with it: vae, vae_gan"),
        ("+model.critic.widht=3", "did you mean 'width'"),
        ("model.critic.hidden=[a]", "model.critic.hidden"),
        ("model.critic.norm=batch", "BatchNorm"),
        ("model.critic.net=resnext", "net: 'resnext' is none of"),
        (
            "model.critic.norm=auti",
            "model.critic.norm: 'auti' is none of auto, none, batch, layer, post_batch; did you mean",
        ),
        ("model=vae model.anneal_steps=-5", "model.anneal_steps: must be >= 0, got -5"),
        ("model=vae_gan model.beta=-1", "model.beta: must be >= 0, got -1"),
        ("model.z_dim=-3", "model: "),
        ("model._target_=genlab.models.nothing", "cannot import"),
    ],
)
def test_wrong_values_give_a_one_line_error(override, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")) as caught:
        family(*override.split())
    assert "\n" not in str(caught.value)


def test_a_user_network_can_be_given_by_its_import_path(monkeypatch):
    monkeypatch.setenv("GENLAB_ALLOW_TARGETS", "1")
    model = family(
        "model=gan", "+mine={_target_: genlab.networks.mlp.MLP}", "model.generator._target_=test_config.own_decoder"
    )
    assert type(model.get_submodule("generator")).__name__ == "Linear"


def own_decoder(inputs, shape, **options):
    return torch.nn.Linear(inputs, shape[0])
