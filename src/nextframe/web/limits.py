"""What one visitor may ask of the app, so that it can be left open to strangers."""

from __future__ import annotations

from pydantic import Field

from nextframe.core.config import Config
from nextframe.media.limits import Limits

MIB = 1 << 20


class WebLimits(Config):
    """Limits of the app; each is a setting of `nextframe app`: --set limits.FIELD=VALUE."""

    upload_mb: int = Field(64, ge=1, description="MiB of one upload, all its files together")
    pixels: int = Field(2_500_000, ge=64, description="pixels of one frame: a little over 1920 x 1080")
    clip_frames: int = Field(900, ge=2, description="frames of one clip")
    decode_seconds: float = Field(20.0, gt=0, description="time to read a clip")
    predict_seconds: float = Field(120.0, gt=0, description="time to predict, and again to draw")
    memory: float = Field(0.5, gt=0, description="GiB that reading a clip may take, and again predicting from it")
    horizon: int = Field(30, ge=1, description="most frames to predict")
    samples: int = Field(4, ge=1, description="most futures")
    side: int = Field(480, ge=16, description="longest side that may be predicted at; larger frames are made smaller")
    queue: int = Field(16, ge=1, description="people who wait")
    workers: int = Field(1, ge=1, description="predictions at the same time, each in a process of its own")
    keep_minutes: float = Field(10.0, gt=0, description="age at which uploads and results are deleted")
    hosts: str = Field("", description="names by which visitors reach the app, as its-name.org, separated by commas")
    temporary_mb: int = Field(1024, ge=1, description="MiB of uploads and results together")

    def reading(self) -> Limits:
        """Return what a reader may decode of one clip."""
        return Limits(pixels=self.pixels, frames=self.clip_frames, bytes=int(self.memory * 1024 * MIB))
