"""Boards to one HTML page that needs neither a network nor this package."""
