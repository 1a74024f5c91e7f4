"""Losses: plain functions on tensors, in `pixel` and `perceptual` for frames and in `latent` for distributions."""
