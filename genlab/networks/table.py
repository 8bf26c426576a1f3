"""Which net stands where: by its role in a family and the layout of a sample, the best first.

A net with a condition on the shape is passed over where the shape does not meet it. The nets themselves say what they
need when they are asked for by name.
"""

from collections.abc import Callable, Sequence

from genlab.errors import UserError, choose
from genlab.networks import dcgan, unet

Shape = Sequence[int]

TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("decoder", "vector"): ("mlp",),
    ("decoder", "image"): ("dcgan", "mlp"),
    ("encoder", "vector"): ("mlp",),
    ("encoder", "image"): ("dcgan", "mlp"),
    ("denoiser", "vector"): ("mlp",),
    ("denoiser", "image"): ("unet", "mlp"),
    ("translator", "vector"): ("mlp",),
    ("translator", "image"): ("resnet", "mlp"),
    ("classifier", "image"): ("classifier",),
    ("flow", "vector"): ("realnvp",),
    ("flow", "image"): ("glow", "realnvp"),
}


def pick(role: str, net: str, shape: Shape, option: str = "net") -> str:
    """The net that is asked for, `auto` resolved by the table: ("decoder", "auto", (1, 28, 28)) -> "dcgan".

    Args:
        role: decoder, encoder, denoiser, translator, classifier or flow.
        option: the name of the option, for the message.

    Raises:
        UserError: the role has no net of that name.
    """
    names = dict.fromkeys(name for (of, _), row in TABLE.items() if of == role for name in row)
    choose(option, net, ("auto", *names))
    if net != "auto":
        return net
    row = TABLE[role, "image" if len(shape) == 3 else "vector"]
    return next(name for name in row if name not in FITS or FITS[name](shape))


def halves_to_8(shape: Shape) -> bool:
    """Whether images are square, and their side halves down to 8 or less."""
    return shape[1] == shape[2] and shape[1] % 2 == 0 and dcgan.levels(shape[1])[1] <= 8


def halves_at_all(shape: Shape) -> bool:
    """Whether both sides halve."""
    return all(dcgan.levels(side)[0] > 0 for side in shape[1:])


def quarters(shape: Shape) -> bool:
    """Whether both sides divide by 4 and are 16 or more."""
    return all(side % 4 == 0 and side >= 16 for side in shape[1:])


def has_levels(shape: Shape) -> bool:
    """Whether a U-Net can be made for the shape."""
    try:
        return bool(unet.sides(shape))
    except UserError:
        return False


FITS: dict[str, Callable[[Shape], bool]] = {
    "dcgan": halves_to_8,
    "unet": has_levels,
    "resnet": quarters,
    "glow": halves_at_all,
}
