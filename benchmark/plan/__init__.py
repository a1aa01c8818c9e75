"""Suite to runs: what is asked, and every run that it comes to."""
