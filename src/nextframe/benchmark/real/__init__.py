"""Tasks that only measure: the next frames of real videos, without training, and a table of models."""
