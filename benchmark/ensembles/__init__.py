"""Ensembles: means of the probabilities of models, which were chosen on people not tested."""
