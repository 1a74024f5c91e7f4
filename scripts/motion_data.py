"""Rebuilds the training material of `motion` from its public sources; it downloads nothing by itself.

Usage:
    python scripts/motion_data.py walks FOLDER          # needs vizdoom, which brings Freedoom 0.13
    python scripts/motion_data.py videos FOLDER --sources SOURCES
    python scripts/motion_data.py stills FOLDER --sources SOURCES    # also needs scikit-image
    python scripts/motion_data.py list FOLDER           # writes FOLDER/list.json, says what differs from the package's

SOURCES holds clones of these repositories, each under its own name:
    https://github.com/BuddiesOfBudgie/budgie-backgrounds      photographs, CC0-1.0
    https://github.com/pop-os/wallpapers                       photographs, public domain
    https://github.com/mdn/dom-examples                        images and a video, CC0-1.0
    https://github.com/mdn/learning-area                       images and videos, CC0-1.0
    https://github.com/intel-iot-devkit/sample-videos          videos, CC-BY-4.0
and `lomiri`, the unpacked Debian package lomiri-wallpapers-16.04 (photographs, CC-BY-4.0, one CC0).

What is drawn at random depends on the seed alone, but encoders and newer snapshots change bytes: files that differ from
the list of the package are trained on with `--list FOLDER/list.json`, and the card then says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from nextframe.core.files.whole_file import sha256_of
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.recipes.weights.material import VALIDATION, read_list
from nextframe.recipes.weights.plans import PLANS

LOG = logging.getLogger("motion-data")
SIDE = 288  # pixels of a still
SHORTEST = 256  # pixels of the shorter side of a video
LONGEST = 420  # frames of a video
FLAT = 8.0  # levels of 0-255: deviation below which nothing is to be seen in a crop
DRAWINGS = 70
LOMIRI = (
    *("aitzgorri", "friends", "life", "picosdeeuropa", "sunset", "Picture_0B", "Picture_1A"),
    *("umang", "Wine", "seeding"),
)
SAMPLES = (
    *("coffee.png", "astronaut.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "brick.png", "gravel.png"),
    *("grass.png", "camera.png", "hubble_deep_field.jpg", "moon.png"),
)
PREVIEWS = ("bolt", "classroom", "fruit", "person-bicycle", "store", "worker")  # animations of sample-videos
NOT_PHOTOGRAPHS = ("logo", "trooper", "screenshot", "kate")
MAPS = [
    *(("freedoom2", f"map{number:02}") for number in range(1, 31)),
    *(("freedoom1", f"E{episode}M{number}") for episode in (1, 2, 3) for number in (1, 3, 5, 7)),
]
TICKS, SKIPPED, NEW_INTENT = 150, 10, 18  # of a walk: its length, its start, how often it turns


def stills(folder: Path, sources: Path) -> None:
    """Write tex.pt: square crops of photographs, and drawings, as JPEG files in a list of tensors."""
    random = numpy_generator("motion-stills")
    crops = [jpeg for path, count in photographs(sources) for jpeg in crops_of(read_image(path), count, random)]
    crops += [jpeg for image in sample_images() for jpeg in crops_of(image, 5, random)]
    crops += [encoded(drawing(random)) for _ in range(DRAWINGS)]
    torch.save([torch.from_numpy(jpeg) for jpeg in crops], folder / "tex.pt")
    LOG.info("tex.pt: %d stills", len(crops))


def photographs(sources: Path) -> Iterator[tuple[Path, int]]:
    """Yield each photograph of the sources and how many crops are made of it."""
    skimage = Path(str(importlib.import_module("skimage").__file__)).parent / "data"
    parts: list[tuple[Iterable[Path], int, int]] = [
        (images_in(sources / "budgie-backgrounds"), 16, 100_000),
        ((path for path in images_in(sources / "lomiri") if path.name.startswith(LOMIRI)), 10, 0),
        (images_in(sources / "wallpapers"), 8, 0),
        ([*images_in(sources / "dom-examples"), *images_in(sources / "learning-area")], 4, 60_000),
        ((skimage / name for name in SAMPLES), 3, 0),
    ]
    seen: set[str] = set()
    for paths, count, smallest in parts:
        for path in paths:
            if path.is_file() and path.stat().st_size > smallest and path.name not in seen:
                seen.add(path.name)
                yield path, count


def images_in(folder: Path) -> list[Path]:
    """Return the photographs below a folder, in the order of their names."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return sorted(path for path in found if not any(word in path.name.lower() for word in NOT_PHOTOGRAPHS))


def sample_images() -> list[np.ndarray[Any, Any]]:
    """Return scikit-learn's two photographs as OpenCV has them, blue first."""
    loaded = importlib.import_module("sklearn.datasets").load_sample_images().images
    return [np.ascontiguousarray(image[..., ::-1]) for image in loaded]


def read_image(path: Path) -> np.ndarray[Any, Any]:
    """Return the pixels of an image file, blue first."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path}: cannot be read as an image")
    return np.asarray(image)


def crops_of(image: np.ndarray[Any, Any], count: int, random: np.random.Generator) -> Iterator[np.ndarray[Any, Any]]:
    """Yield up to `count` crops of an image, at several scales, as JPEG; skipping empty ones."""
    height, width = image.shape[:2]
    shortest = min(height, width)
    scales = (1.0, 0.5, 0.35, 0.2) if shortest > 1500 else (1.0, 0.6) if shortest > 600 else (1.0,)
    for _ in range(count):
        side = min(shortest, round(SIDE / random.choice(scales)))
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        part = image[top : top + side, left : left + side]
        way = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
        crop = cv2.resize(part, (SIDE, SIDE), interpolation=way)
        if crop.std() >= FLAT:
            yield encoded(crop)


def drawing(random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return flat shapes, lines and words of random colours on a plain ground."""
    image = np.full((SIDE, SIDE, 3), random.integers(256, size=3), np.uint8)
    for _ in range(random.integers(5, 40)):
        colour = tuple(int(value) for value in random.integers(256, size=3))
        first, second = (tuple(int(value) for value in random.integers(SIDE, size=2)) for _ in range(2))
        kind = random.integers(5)
        if kind == 0:
            cv2.rectangle(image, first, second, colour, -1)
        elif kind == 1:
            cv2.ellipse(image, first, (int(random.integers(4, 90)), int(random.integers(4, 90))), 0, 0, 360, colour, -1)
        elif kind == 2:
            cv2.line(image, first, second, colour, int(random.integers(1, 9)))
        elif kind == 3:
            cv2.fillPoly(image, [random.integers(SIDE, size=(3, 2)).astype(np.int32)], colour)
        else:
            letters = "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz0123456789 "), 9))
            cv2.putText(image, letters, first, cv2.FONT_HERSHEY_SIMPLEX, 0.9, colour, 2)
    return image


def encoded(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an image as the bytes of a JPEG file."""
    return np.asarray(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 91])[1]).ravel()


def videos(folder: Path, sources: Path) -> None:
    """Write the free videos as real_*.mp4: their beginnings, the shorter side at 256."""
    mdn = (
        sources
        / "learning-area"
        / "javascript"
        / "apis"
        / "client-side-storage"
        / "indexeddb"
        / "video-store"
        / "videos"
    )
    intel = sources / "sample-videos"
    previews = [path for path in (intel / "preview").glob("*.gif") if any(word in path.name for word in PREVIEWS)]
    for path in sorted([*mdn.glob("*.mp4"), *intel.glob("*.mp4"), *previews]):
        write_video(folder / f"real_{path.stem}.mp4", scaled(path), crf=17)


def scaled(path: Path) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the first frames of a video, red first, scaled down until the shorter side has 256 pixels."""
    av = importlib.import_module("av")
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == LONGEST:
                return
            image = frame.to_ndarray(format="rgb24")
            factor = max(1.0, min(image.shape[:2]) / SHORTEST)
            size = int(image.shape[1] / factor), int(image.shape[0] / factor)
            yield cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor > 1 else image


def write_video(path: Path, frames: Iterable[np.ndarray[Any, Any]], crf: int) -> None:
    """Write frames (H, W, 3), red first, as H.264 with 30 frames a second; odd sides lose a pixel."""
    av = importlib.import_module("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": str(crf), "preset": "veryfast", "g": "60"})
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            even = np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
            stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    LOG.info("%s", path.name)


def walks(folder: Path) -> None:
    """Write a walk through each map as doom_*.mp4."""
    for wad, name in MAPS:
        write_video(folder / f"doom_{wad}_{name}.mp4", walk(wad, name), crf=20)


def walk(wad: str, name: str) -> Iterator[np.ndarray[Any, Any]]:
    """Yield frames of a walk whose speeds drift towards intents that change every half second."""
    random = numpy_generator("walk", wad, name)
    game = opened(wad, name, int(random.integers(10**6)))
    speeds, intents = np.zeros(3), np.zeros(3)  # turning, forwards, sideways
    for tick in range(TICKS):
        if tick % NEW_INTENT == 0:
            turn, aside = (
                random.normal(0, 4) * (random.random() < 1 / 3),
                random.normal(0, 8) * (random.random() < 1 / 4),
            )
            intents = np.array([turn, random.choice([0, 8, 14, 20, 20]), aside])
        speeds += np.array([0.25, 0.2, 0.2]) * (intents - speeds)
        if game.is_episode_finished():
            break
        if tick >= SKIPPED:
            yield cv2.resize(game.get_state().screen_buffer, (320, 240), interpolation=cv2.INTER_AREA)
        game.make_action([*speeds.tolist(), 0, float(tick % 12 == 0)], 1)
    game.close()


def opened(wad: str, name: str, seed: int) -> Any:
    """Return the game at the start of a map, seen by a player whom nothing harms."""
    vizdoom = importlib.import_module("vizdoom")
    game, button = vizdoom.DoomGame(), vizdoom.Button
    game.set_doom_game_path(str(Path(vizdoom.__file__).parent / f"{wad}.wad"))
    game.set_doom_map(name)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_640X480)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    for hide in (game.set_render_hud, game.set_render_weapon, game.set_render_crosshair, game.set_render_messages):
        hide(False)
    game.set_window_visible(False)
    game.set_available_buttons([
        button.TURN_LEFT_RIGHT_DELTA, button.MOVE_FORWARD_BACKWARD_DELTA, button.MOVE_LEFT_RIGHT_DELTA,
        button.LOOK_UP_DOWN_DELTA, button.USE,
    ])  # fmt: skip
    game.set_episode_timeout(5000)
    game.set_seed(seed)
    game.add_game_args("+sv_cheats 1 +god 1")
    game.init()
    game.new_episode()
    return game


def write_list(folder: Path) -> None:
    """Write FOLDER/list.json of what is there, and say which files are not those on the package's list."""
    known = read_list(PLANS.get("motion").listed)
    kinds = {
        kind: {n: sha256_of(folder / n) for n in files if (folder / n).is_file()} for kind, files in known.kinds.items()
    }
    values = {**kinds, VALIDATION: list(known.validation)}
    (folder / "list.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    for kind, files in known.kinds.items():
        for name, digest in files.items():
            found = kinds[kind].get(name)
            if found != digest:
                LOG.info("%s: %s", name, "absent" if found is None else "differs")


def main() -> int:
    """Run one part."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("part", choices=["walks", "videos", "stills", "list"])
    found.add_argument("folder", type=Path)
    found.add_argument("--sources", type=Path, default=Path("sources"))
    words = found.parse_args()
    words.folder.mkdir(parents=True, exist_ok=True)
    if words.part in ("videos", "stills"):
        {"videos": videos, "stills": stills}[words.part](words.folder, words.sources)
    else:
        {"walks": walks, "list": write_list}[words.part](words.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
