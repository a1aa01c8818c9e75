"""Feature rows: frames of a signal, features of the frames, rows of all signals."""
