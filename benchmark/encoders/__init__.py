"""Frozen encoders as rows of boards: weights of the user's, embeddings, and a linear head."""
