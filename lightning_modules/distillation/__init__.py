"""Distillers: how a student learns from a teacher."""
