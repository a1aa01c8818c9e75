"""Signals, recordings and what is computed from them, without labels and without torch."""
