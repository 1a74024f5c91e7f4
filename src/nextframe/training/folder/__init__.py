"""What stands in a run folder, and its formats."""
