"""Matrix products of a compiled graph on the CPU, each in the way that is fastest at its shape.

Large fp32 products are those of `networks/linear.py`. And a product of few columns, (n, B) x (B, 2) as in the weight
gradient of a layer on 2-D points, is three times as fast turned around.

The choice depends on shapes and processor alone, so that a run is the same each time.
"""

from typing import Any

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

from genlab.networks import linear
from genlab.networks.linear import NARROW, large, wide

aten = torch.ops.aten


class Products(CustomGraphPass):
    """Rewrites the fp32 products of a traced graph; the compiler calls it before its own rewriting."""

    def __init__(self) -> None:
        self.wide = wide()

    def __call__(self, graph: Graph) -> None:
        for node in list(graph.nodes):
            if node.target is aten.mm.default:
                bias, (a, b) = None, node.args
            elif node.target is aten.addmm.default and not node.kwargs and value(node.args[0]).dim() == 1:
                bias, a, b = node.args
            else:
                continue
            if value(a).dtype != torch.float32 or value(a).device.type != "cpu":
                continue
            (rows, inner), columns = value(a).shape, value(b).shape[1]
            with graph.inserting_before(node):
                if self.wide and large(rows, inner, columns):
                    new = add(graph, torch.ops.genlab.linear.default, a, transposed(graph, b), bias)
                elif bias is None and columns <= NARROW < rows:
                    new = transposed(graph, add(graph, aten.mm.default, transposed(graph, b), transposed(graph, a)))
                else:
                    continue
            node.replace_all_uses_with(new)
            graph.erase_node(node)

    def uuid(self) -> Any:
        """Part of the name that the compiler keeps a graph under."""
        return get_hash_for_files((__file__, linear.__file__), str(self.wide))


def value(node: Any) -> Tensor:
    """The tensor without content that stands for a node's result."""
    return node.meta["val"]


def add(graph: Graph, operation: Any, *arguments: Any) -> Node:
    """Put an operation into a graph, with what its result looks like."""
    node = graph.call_function(operation, arguments)
    node.meta["val"] = operation(*(value(each) if isinstance(each, Node) else each for each in arguments))
    return node


def transposed(graph: Graph, node: Any) -> Node:
    """The transpose of a matrix; of a transpose, the matrix itself."""
    if node.target is aten.permute.default and list(node.args[1]) == [1, 0]:
        return node.args[0]
    return add(graph, aten.permute.default, node, [1, 0])
