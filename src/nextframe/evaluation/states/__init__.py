"""What a state has kept of a context: drawn, and measured."""
