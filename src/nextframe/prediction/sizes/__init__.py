"""Predicting at another size than the video's: that of the training, or tile by tile."""
