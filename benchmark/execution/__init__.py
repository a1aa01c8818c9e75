"""One run: fit, choose, test, save."""
