"""When the frames of a video are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError
from nextframe.media.reader import open_source
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.video.decode import Video
from nextframe.media.video.kept import SourceIndex


def frame_times(path: Path, index: SourceIndex, reading: Reading = DEFAULT) -> NDArray[np.float64]:
    """Return when each frame of a video is shown, in seconds as the file counts them, (frames,), ascending.

    Args:
        path: the file.
        index: what `index_source` returned for it.
        reading: as it was given there.

    Raises:
        BadInputError: not a video, or one whose time stamps do not tell its frames apart.
    """
    video = open_source(path, reading=reading)
    if not isinstance(video, Video) or len(index.pts) != index.frames:
        raise BadInputError(path, "its time stamps do not tell its frames apart", "encode it as mp4 with time stamps")
    with video.open() as container:
        base = video.stream(container).time_base
    return np.asarray(index.pts * (base.numerator / base.denominator), np.float64)
