"""Context in, frames out, and pictures of them."""

from nextframe.prediction.predict import Prediction, predict
from nextframe.prediction.write import write_prediction

__all__ = ["Prediction", "predict", "write_prediction"]
