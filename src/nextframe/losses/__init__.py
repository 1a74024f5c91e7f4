"""Losses: plain functions on tensors, in `pixel` for frames and in `latent` for distributions."""
