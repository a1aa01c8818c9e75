"""Who does runs, and on what: worker processes of this machine, or a Ray cluster."""
