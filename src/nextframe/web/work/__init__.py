"""What the workers of the app do: one clip predicted, measured and drawn for the page."""
