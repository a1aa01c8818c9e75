"""Exit statuses of commands."""

DONE, FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130
"""Everything asked for is there; some of it is not; the call cannot be done; stopped by hand."""
