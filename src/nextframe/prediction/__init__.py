"""Context in, frames out, and images of them."""

from nextframe.prediction.interpolate import interpolate
from nextframe.prediction.predict import predict
from nextframe.prediction.result import Prediction
from nextframe.prediction.show import Shown, show
from nextframe.prediction.write import check_output, write_prediction

__all__ = [
    "Prediction",
    "Shown",
    "check_output",
    "interpolate",
    "predict",
    "show",
    "write_prediction",
]
