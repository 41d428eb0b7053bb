"""Random arguments, on every library and beside PyTorch and onnxruntime: `make fuzz`."""
