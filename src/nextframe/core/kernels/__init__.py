"""Kernels that are chosen by measuring: races, the choices they make, and the file that keeps them."""

from nextframe.core.kernels.choices import FIXED, VARIABLE, Choices, current, using

__all__ = ["FIXED", "VARIABLE", "Choices", "current", "using"]
