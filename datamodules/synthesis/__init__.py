"""Made-up recordings: signals with a planted effect, and writers of the publishers' own files."""
