"""Checkpoints of other programs, read as this package's models."""
