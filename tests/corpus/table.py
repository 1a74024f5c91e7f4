"""The whole table, by kind."""

from __future__ import annotations

from corpus import animations, arrays, stills, tiffs, videos
from corpus.case import Case

CASES: dict[str, list[Case]] = {
    "Videos": videos.CASES,
    "Animations": animations.CASES,
    "Images": stills.IMAGES,
    "TIFF": tiffs.CASES,
    "Folders of images": stills.FOLDER_CASES,
    "Arrays": arrays.CASES,
}
