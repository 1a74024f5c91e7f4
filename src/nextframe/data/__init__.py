"""From a path or a name to clips: a user's own files, data sets by name, prepared clips, optical flow."""

from nextframe.data.clipset import ClipSet, DataConfig
from nextframe.data.from_torch import clips
from nextframe.data.mixed import MixedClips
from nextframe.data.open import open_data
from nextframe.data.sets import DATASETS

__all__ = ["DATASETS", "ClipSet", "DataConfig", "MixedClips", "clips", "open_data"]
