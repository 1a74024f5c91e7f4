"""The experiments of papers, notebooks and public codes, and our own: one typed file each."""

from nextframe.recipes.about import about
from nextframe.recipes.load import load_recipe, recipe_to_resume
from nextframe.recipes.registry import RECIPES

__all__ = ["RECIPES", "about", "load_recipe", "recipe_to_resume"]
