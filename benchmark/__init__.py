"""Runs to leaderboards."""
