"""Spaces of probes: the values among which a study chooses the arguments of their classifiers."""

from lightning_modules.spaces import Space

SPACES: dict[str, Space] = {}
"""Spaces by probe; one without has nothing to choose. A plug-in adds those of its own probes."""
