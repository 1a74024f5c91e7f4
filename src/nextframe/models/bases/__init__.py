"""What several models share: autoencoders of frames, and models of one next frame."""
