"""The app as a Hugging Face Space."""

from __future__ import annotations

import logging
import os

from nextframe.web import WebLimits, serve

MODELS: tuple[str, ...] = ()  # names, or user/name of models on the Hub; () for those that come with the package

if __name__ == "__main__":  # the workers import this file too
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    limits = WebLimits(upload_mb=32, clip_frames=600, queue=20, workers=2)
    serve(MODELS, limits=limits, host="0.0.0.0", port=int(os.environ.get("PORT", "7860")))
