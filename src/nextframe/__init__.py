"""nextframe predicts the frames that come next in a video."""

__version__ = "0.1.0"
