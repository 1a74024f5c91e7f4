"""The experiments of the original systems, and our own: one typed file each."""
