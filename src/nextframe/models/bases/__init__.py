"""Bases of several models: autoencoders of frames, and models that predict one next frame."""
