"""Random numbers as functions of what they are for: seeds, and noise that belongs to a clip."""
