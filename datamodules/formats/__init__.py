"""Files of one kind, read without trusting them."""
