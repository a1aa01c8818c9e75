"""Recordings before they are used: fetched, checked, prepared, made up."""
