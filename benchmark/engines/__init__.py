"""Engines: worker processes of this machine, or a Ray cluster, that do runs."""
