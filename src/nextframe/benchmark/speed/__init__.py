"""How fast models are: clips a second of a row, and a comparison with plain forms of the models, run in turn."""
