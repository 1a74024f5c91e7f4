"""Transfer of a trained model to action recognition: classifiers on encoders, label scarcity, percepts."""

from nextframe.transfer.classifier import ClassifierConfig
from nextframe.transfer.experiment import transfer
from nextframe.transfer.plot import write_plot
from nextframe.transfer.result import TransferResult, TransferRow
from nextframe.transfer.settings import METHODS, TransferConfig

__all__ = ["METHODS", "ClassifierConfig", "TransferConfig", "TransferResult", "TransferRow", "transfer", "write_plot"]
