"""Publishing a trained model: its card, the Hub, and ONNX."""

from nextframe.publish.card import write_shared
from nextframe.publish.to_hub import push
from nextframe.publish.to_onnx import export

__all__ = ["export", "push", "write_shared"]
