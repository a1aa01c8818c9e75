"""Readers of file formats; every file is checked before it is used."""
