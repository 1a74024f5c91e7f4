"""A trained model for others: its card, the Hub, and ONNX."""

from nextframe.share.card import write_shared
from nextframe.share.export import export
from nextframe.share.push import push

__all__ = ["export", "push", "write_shared"]
