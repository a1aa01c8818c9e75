"""What each command does: one function of the parsed words a command, which gives its status."""
