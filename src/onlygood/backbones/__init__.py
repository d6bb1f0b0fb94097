"""Pretrained networks as ONNX files, each with a card that says what it is, and those that are built
from their weights.

Imports errors and checks of numbers, and onnx. The networks that are shipped lie beside the modules.
"""
