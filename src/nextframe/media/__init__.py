"""One thing that has frames, read and written: videos, animations, images, arrays."""
