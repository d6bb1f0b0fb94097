"""The model file's graph: preprocessing, trunk, head and verdict as ONNX, and the file around them."""
