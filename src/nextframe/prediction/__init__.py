"""Context in, frames out, and images of them."""

from nextframe.prediction.interpolate import interpolate
from nextframe.prediction.predict import Asked, predict, stream
from nextframe.prediction.result import Prediction
from nextframe.prediction.shown.show import Shown, show
from nextframe.prediction.stream import Stream
from nextframe.prediction.write import check_output, write_prediction, write_stream

__all__ = [
    "Asked",
    "Prediction",
    "Shown",
    "Stream",
    "check_output",
    "interpolate",
    "predict",
    "show",
    "stream",
    "write_prediction",
    "write_stream",
]
