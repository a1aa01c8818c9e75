"""Adapters: from a trained model and a person's labelled minutes to a model for that person."""
