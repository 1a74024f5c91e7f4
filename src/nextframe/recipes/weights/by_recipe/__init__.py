"""Trained models of recipes: the ordinary training and evaluation, then a model folder with its card and images."""
