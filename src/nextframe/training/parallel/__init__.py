"""Several devices: their processes, what those share, and weights that are spread over them."""
