"""Dense optical flow, warping along it, and pictures of it."""
