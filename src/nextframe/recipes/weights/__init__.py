"""The weights that come with the package, trained again: `python -m nextframe.recipes.weights motion --minutes 8`."""
