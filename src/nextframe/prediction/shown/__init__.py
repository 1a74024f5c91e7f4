"""Images of frames and of figures: panels, animations, line charts."""
