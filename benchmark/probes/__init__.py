"""Classifiers that a network must beat, and those that should lose."""
