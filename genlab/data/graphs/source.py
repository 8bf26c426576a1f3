"""What a file of graphs or molecules looks like, so that samples can be written like it; it travels in checkpoints."""

from typing import Any, Literal, NamedTuple, get_args

Format = Literal["graphml", "tudataset", "edges", "npz", "smiles"]


class GraphSource(NamedTuple):
    """The format of files of graphs or molecules. Generated graphs are written as adjacency matrices, npz."""

    format: Format
    name: str = ""  # of a TUDataset: its files begin with it
    label: str = ""  # the attribute, array or column of classes; "" for none, or the format's usual name
    delimiter: str = ","  # of a table
    column: str = "smiles"  # of SMILES
    ends: tuple[str, str, str] = ("graph", "source", "target")  # columns of an edge list
    key: str = "adjacency"  # the array of adjacency matrices
    flat: bool = False  # whether adjacency matrices are flat

    def state(self) -> dict[str, Any]:
        """Returns plain values for a checkpoint; `of` reads them."""
        return {**self._asdict(), "ends": list(self.ends)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "GraphSource":
        """Reads what `state` wrote.

        Raises:
            KeyError, TypeError, ValueError: the state is damaged.
        """
        if state["format"] not in get_args(Format):
            raise ValueError(f"unknown format {state['format']}")
        return cls(**{**state, "ends": tuple(state["ends"])})


def of_molecules(source: object) -> bool:
    """Returns whether this is the source of molecules, which are written as SMILES."""
    return isinstance(source, GraphSource) and source.format == "smiles"
