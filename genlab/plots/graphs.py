"""Draws graphs, laid out by networkx, and molecules, drawn by RDKit, in grids."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.graphs.graph import Graphs, networkx, to_networkx
from genlab.data.graphs.packing import unpack_graphs
from genlab.data.graphs.source import of_molecules
from genlab.data.spec import Spec
from genlab.models.base import Family, Sampler
from genlab.plots.canvas import new_figure, pixels
from genlab.plots.drawer import Drawer
from genlab.plots.images import classes_in_turn, grid, known_classes, rows

SIDE = 180  # pixels of a picture
SHOWN, IN_A_FILE = 25, 49  # graphs in a picture during training, and in grid.png
SMALL = 30  # nodes up to which Kamada-Kawai, which is clearer but slower, lays a graph out
DENSE = 1.5  # bonds for each atom, beyond which a molecule is drawn as a graph
INVALID = (1.0, 0.88, 0.86)  # the ground of molecules that break rules of valence
COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c", "#ccb974", "#64b5cd")


class GraphDrawer(Drawer):
    """Draws grids of graphs, with corresponding ones below one another."""

    shown = 16
    blends = False

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """Draws a grid of at most 25 samples, with one class per column for a conditional family."""
        assert isinstance(family, Sampler)
        labels = classes_in_turn(family, n := min(n, SHOWN))
        columns = None if labels is None else min(n, len(known_classes(family)))
        return grid(drawn(data.spec, data.decode(family.sample(n, labels))), columns)

    def again(self, spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
        return rows(drawn(spec, real), drawn(spec, again))

    def moved(self, spec: Spec, source: Tensor, there: Tensor, back: Tensor, target: Tensor) -> np.ndarray:
        return rows(*(drawn(spec, units) for units in (source, there, back)))

    def sheet(
        self, spec: Spec, arrays: Mapping[str, Tensor], columns: int | None, real: Callable[[], Tensor | None]
    ) -> np.ndarray:
        if "cycles" in arrays:
            parts = [drawn(spec, arrays[name][:IN_A_FILE]) for name in ("originals", "samples", "cycles")]
            return rows(*parts, columns=7)
        return grid(drawn(spec, arrays["samples"][:IN_A_FILE]), columns)


def drawn(spec: Spec, units: Tensor) -> Tensor:
    """Draws packed graphs (N, P) in data units as images (N, 3, SIDE, SIDE) in [0, 1]."""
    graphs = unpack_graphs(units, spec)
    pictures = molecules(graphs) if of_molecules(spec.source) else networks(graphs)
    stacked = np.stack(pictures) if pictures else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


def networks(graphs: Graphs, ground: Any = "white") -> list[np.ndarray]:
    """Draws graphs as (SIDE, SIDE, 3) uint8 pictures; the first category of nodes, and that of edges, as colours.

    Args:
        ground: the colour of the background.
    """
    from matplotlib.collections import LineCollection

    words = next((a.labels for a in graphs.node if a.labels), ())
    node = next((a.name for a in graphs.node if a.labels), "")
    edge = graphs.kinds
    figure, canvas = new_figure(SIDE / 100, SIDE / 100, dpi=100)
    figure.set_layout_engine("none")
    figure.set_facecolor(ground)
    pictures = []
    for graph in to_networkx(graphs):
        figure.clear()
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.set_xlim(-1.12, 1.12)
        axes.set_ylim(-1.12, 1.12)
        place = layout(graph)
        width = 1.2 if len(graph) <= SMALL else 0.6
        kinds = [edge.labels.index(values[edge.name]) if edge else 0 for *_, values in graph.edges(data=True)]
        lines = [(place[a], place[b]) for a, b in graph.edges]
        plain = edge is None or len(edge.labels) == 1
        shades = ["0.45" if plain else COLOURS[-1 - k % len(COLOURS)] for k in kinds]
        axes.add_collection(LineCollection(lines, colors=shades, linewidths=width, zorder=1))
        colours = [COLOURS[words.index(graph.nodes[v][node]) % len(COLOURS)] if words else COLOURS[0] for v in graph]
        size = 260 / (8 + len(graph))
        axes.scatter(*np.array([place[v] for v in graph]).reshape(-1, 2).T, s=size, c=colours, zorder=2, linewidths=0)
        pictures.append(pixels(canvas))
    return pictures


def layout(graph: Any) -> dict[Any, np.ndarray]:
    """Places nodes in [-1, 1]²: components in boxes, the largest first, in rows that together are about square."""
    nx = networkx()
    boxes = [placed(graph.subgraph(nodes)) for nodes in sorted(nx.connected_components(graph), key=len, reverse=True)]
    sides = [np.sqrt(len(box)) + 0.5 for box in boxes]
    across = max(1.2 * np.sqrt(sum(side**2 for side in sides)), max(sides, default=0))
    x = y = high = 0.0
    place: dict[Any, np.ndarray] = {}
    for box, side in zip(boxes, sides, strict=True):
        if x + side > across:
            x, y, high = 0.0, y + high, 0.0
        place |= {node: np.array([x, y]) + side * (0.5 + 0.42 * position) for node, position in box.items()}
        x, high = x + side, max(high, side)
    return centred(place)


def placed(graph: Any) -> dict[Any, np.ndarray]:
    """Places the nodes of a connected graph in [-1, 1]²: by Kamada and Kawai if it is small, else by springs."""
    nx = networkx()
    small = 1 < len(graph) <= SMALL
    return centred(nx.kamada_kawai_layout(graph) if small else nx.spring_layout(graph, seed=0))


def centred(place: dict[Any, np.ndarray]) -> dict[Any, np.ndarray]:
    """Moves and scales points, both axes alike, so that they just fit into [-1, 1]²."""
    if not place:
        return place
    points = np.array(list(place.values()))
    middle = (points.max(0) + points.min(0)) / 2
    reach = np.abs(points - middle).max() or 1.0
    return {node: (position - middle) / reach for node, position in place.items()}


def molecules(graphs: Graphs) -> list[np.ndarray]:
    """Draws molecules as (SIDE, SIDE, 3) uint8 pictures, those that are not valid on a red ground.

    What has so many bonds that no structural formula can be drawn is drawn as a graph.
    """
    from genlab.data.graphs import smiles

    pictures: list[np.ndarray] = []
    crowded = graphs.edge_counts > DENSE * graphs.sizes
    with smiles.quiet():
        for place, molecule in enumerate(smiles.molecules(graphs)):
            ground = (1.0, 1.0, 1.0) if smiles.smiles(molecule) is not None else INVALID
            try:
                if crowded[place]:
                    raise RuntimeError("too many bonds")
                pictures.append(formula(molecule, ground))
            except (RuntimeError, ValueError):  # RDKit finds no places for the atoms
                pictures += networks(graphs.take([place]), ground)
    return pictures


def formula(molecule: Any, ground: tuple[float, float, float]) -> np.ndarray:
    """Draws a structural formula as a (SIDE, SIDE, 3) uint8 picture, also of a molecule that breaks rules of valence.

    Raises:
        RuntimeError, ValueError: RDKit cannot draw it.
    """
    from PIL import Image
    from rdkit.Chem import Draw

    molecule.UpdatePropertyCache(strict=False)
    drawer = Draw.MolDraw2DCairo(SIDE, SIDE)
    options = drawer.drawOptions()
    options.prepareMolsBeforeDrawing = False  # would refuse invalid ones
    options.padding = 0.08
    options.setBackgroundColour(ground)
    drawer.DrawMolecule(molecule)
    drawer.FinishDrawing()
    return np.asarray(Image.open(io.BytesIO(drawer.GetDrawingText())).convert("RGB"))
