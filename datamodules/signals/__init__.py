"""Signals, recordings and the file formats they come in; nothing here knows of labels or torch."""
