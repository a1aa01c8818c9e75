"""The harness checks itself, and repeats finished runs."""
