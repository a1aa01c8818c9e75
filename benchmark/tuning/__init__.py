"""Search for the values of a training among candidates, by runs of the same queue and store."""
