"""Context in, frames out, and pictures of them."""

from nextframe.prediction.interpolate import interpolate
from nextframe.prediction.predict import Prediction, predict
from nextframe.prediction.write import check_output, write_prediction

__all__ = ["Prediction", "check_output", "interpolate", "predict", "write_prediction"]
