"""Trackers: results for Weights & Biases or TensorBoard."""
