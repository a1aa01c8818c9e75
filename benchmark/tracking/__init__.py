"""Results for Weights & Biases or TensorBoard."""
