"""Several devices: their processes, what those share, and weights that are sharded over them."""
