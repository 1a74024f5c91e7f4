"""Context in, frames out, and pictures of them."""

from nextframe.prediction.interpolate import interpolate
from nextframe.prediction.predict import Prediction, predict
from nextframe.prediction.write import write_prediction

__all__ = ["Prediction", "interpolate", "predict", "write_prediction"]
