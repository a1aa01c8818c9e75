"""Plug-ins that ``affectbench new`` copies; each runs as it is."""
