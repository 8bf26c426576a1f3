"""One number after the other: p(x) = Π_i p(x_i | those before), for all kinds of data.

Columns of a table are learnt in every order at once, so that any of them can be given (`any_order`). Everything else
has an order of its own, in which likelihoods are exact (`causal`).
"""

from genlab.data.base import Spec
from genlab.errors import OptionError
from genlab.models.any_order import TableAutoregressive
from genlab.models.base import Family
from genlab.models.causal import CausalAutoregressive


class Autoregressive(Family):
    """Makes a `TableAutoregressive` for a table of typed columns, and a `CausalAutoregressive` for other data.

    Options for the one kind of data do not matter for the other.

    Args:
        bins: of tables, tokens of a column of numbers, about.
        order: of tables, in which samples are drawn: "random", another for each row, whose errors average out; "label",
            the same with the table's label last, so that it is drawn given all others; or "table".
        numbers: of tables, whether the net sees where in its bin a number lies, besides the bin.
        noise: of tables, σ of the noise on the normal scores of the known numbers that the net sees in training, so
            that it does not learn rows by heart.
        embedding: of tables, the length of a token's vector.
        width, layers, heads: of other data, of the Transformer over their blocks, see `Blocks`.
        mixtures: of other data, components of the distribution of a real, or of a pixel of 256 values.
        conditional: of other data, whether the net sees the class; in a table the class is a column.
        temperature: of sampling: below 1 samples keep to what is likely, 1 is the model.
        hidden, blocks, dropout: of the net, see `TokenMLP` and `MaskedMLP`.

    Raises:
        UserError: an option is out of its range, or does not fit the data.
    """

    takes_given = True
    completes_any = True

    def __new__(
        cls,
        spec: Spec,
        bins: int = 100,
        order: str = "random",
        numbers: bool = False,
        noise: float = 0.0,
        embedding: int = 16,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        mixtures: int = 10,
        conditional: bool = False,
        temperature: float = 1.0,
        hidden: int = 512,
        blocks: int = 3,
        dropout: float = 0.1,
    ) -> Family:
        shared = (temperature, hidden, blocks, dropout)
        if spec.table is None:
            return CausalAutoregressive(spec, *shared, width, layers, heads, mixtures, conditional)
        if conditional:
            raise OptionError("conditional", "of a table the class is a column like the others; set it to false")
        return TableAutoregressive(spec, bins, order, numbers, noise, embedding, *shared)
