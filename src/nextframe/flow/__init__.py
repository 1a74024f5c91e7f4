"""Dense optical flow, warping along it, and images of it."""
