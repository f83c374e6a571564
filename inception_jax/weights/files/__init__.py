"""Readers and writers of file formats: safetensors, HDF5, PyTorch, TensorFlow."""
