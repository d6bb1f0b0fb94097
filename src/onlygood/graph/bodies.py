"""Graphs inside a graph: those that a Scan node runs once for each tile."""

from __future__ import annotations

import onnx

# What names of values in such a graph begin with: no name may be in both graphs.
PREFIX = "tile/"


def tiles_of(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """The graphs that the Scan nodes of a graph run."""
    return [
        attribute.g
        for node in graph.node
        if node.op_type == "Scan"
        for attribute in node.attribute
        if attribute.name == "body"
    ]
