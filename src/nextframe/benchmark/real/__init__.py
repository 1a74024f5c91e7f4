"""The next frames of real videos of any size, from nothing but the videos: no training, a table of models."""

from nextframe.benchmark.real.clips import NAME, TASK, RealConfig
from nextframe.benchmark.real.result import ABOUT, RealResult, measure_real

__all__ = ["ABOUT", "NAME", "TASK", "RealConfig", "RealResult", "measure_real"]
