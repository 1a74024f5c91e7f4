"""A trained model for others: its card, the Hub, and ONNX."""

from nextframe.share.card import write_shared
from nextframe.share.to_hub import push
from nextframe.share.to_onnx import export

__all__ = ["export", "push", "write_shared"]
