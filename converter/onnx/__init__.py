"""From a loaded network to an ONNX file, and running one."""
