"""Networks of published encoders, which turn a window into an embedding; they are not trained."""
