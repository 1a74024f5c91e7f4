"""Reading and writing frames: videos, animations, images, arrays."""
