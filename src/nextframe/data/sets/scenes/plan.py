"""What is in each clip, drawn on the CPU from its index: the kind of scene, its layers, what time each frame shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextframe.core.clip import Task
from nextframe.core.seeds.seeding import Floats
from nextframe.data.clipset import Indices
from nextframe.data.sets.scenes.draws import Draws, Flags, Table
from nextframe.data.sets.scenes.looks import Counts, Looks, draw_looks, write_text
from nextframe.data.sets.scenes.motion import USUAL, Camera, Paths, draw_camera, draw_paths

LAYERS = 5  # at most, with the background
KINDS = {  # of clips, with their shares
    "still": 0.22,
    "near-still": 0.08,  # a camera that trembles
    "camera": 0.2,  # parallax, nothing moves by itself
    "objects": 0.28,
    "walk": 0.06,
    "text": 0.08,
    "drawing": 0.08,
}
STILL, NEAR, CAMERA, OBJECTS, WALK, TEXT, DRAWING = range(len(KINDS))
HELD, CUT, BLURRED, GREY, FADED = 0.2, 0.06, 0.14, 0.08, 0.08  # shares of the clips that may have it


@dataclass(frozen=True)
class Scene(Table):
    """Layers in motion before a camera; layer 0 is the background, `count` (B,) layers are used."""

    kind: Indices
    count: Indices
    looks: Looks
    paths: Paths
    camera: Camera


@dataclass(frozen=True)
class Recording(Table):
    """What a camera, a cutter and a codec make of a scene; T frames are context and then target."""

    times: Floats  # (B, T) in frames: what each frame shows
    first: Indices  # (B, T) the first frame that shows the same; itself, if frames are not held
    cut: Indices  # (B,) the first frame after a cut; 0: there is none
    shutter: Floats  # (B,) frames; 0: no motion blur
    light: Floats  # (B, 2) brightness added a frame, and how much nearer to `curtain` a frame
    curtain: Floats  # (B, 3)
    grey: Flags  # (B,)
    grain: Floats  # (B, 3) deviation; the share that is in all colours alike; 1 if it is coarse
    quantiser: Floats  # (B, T) of compression, 0: none; `usual` is without its changes from frame to frame
    usual: Floats  # (B,)
    levels: Floats  # (B,) of each colour; 0: no palette
    dither: Floats  # (B,) 1: ordered dithering, 0: nearest colours


def draw_scene(draws: Draws, counts: Counts, size: tuple[int, int], frames: float) -> Scene:
    """Return the scenes of clips of `size` (height, width) that last `frames`."""
    kind, pixel = draws.choice("kind", list(KINDS.values())), min(size) / USUAL
    count = 1 + draws.choice("layers", (0.1, 0.25, 0.25, 0.2, 0.2))
    count = np.clip(count, np.array([1, 1, 2, 2, 3, 2, 2])[kind], LAYERS)
    layer = np.arange(LAYERS)
    flat = draws.chance("flat", np.array([0.05, 0.05, 0.05, 0.08, 0.05, 0.1, 0.85])[kind][:, None], LAYERS)
    looks = draw_looks(draws, flat, counts, pixel)
    moving = np.array([0.0, 0.0, 0.0, 0.9, 0.3, 0.2, 0.9])[kind][:, None]
    moves = draws.chance("moves", moving, LAYERS) & (layer > 0)
    pans = draws.chance("pans", np.array([0.0, 0.0, 1.0, 0.5, 0.5, 0.1, 0.3])[kind])
    shakes = (kind == NEAR) | ((kind != STILL) & draws.chance("shakes", 0.15))
    camera = draw_camera(draws, pans, kind == WALK, shakes, pixel)
    paths = draw_paths(draws, moves, size, frames)
    looks.wave[(kind == STILL) | (kind == NEAR) | (kind == CAMERA), :, :, 0] = 0  # nothing moves by itself
    paths.slant[:] = gentle(paths.slant, camera, size[0] / 2, frames)
    write_text(looks, draws, kind == TEXT, count - 1, counts, pixel)
    scroll(paths, draws, kind == TEXT, count - 1, pixel)
    for part in (paths.start, paths.angle):
        part[:, 0] = 0  # the background fills the frame
    plain = ~looks.gain[:, 0].any(1)  # of one colour: its motion could not be seen
    paths.nearness[plain, 0], looks.wave[plain, 0] = 0, 0
    return Scene(kind=kind, count=count, looks=looks, paths=paths, camera=camera)


def gentle(slant: Floats, camera: Camera, half: float, frames: float) -> Floats:
    """Return slants (B, L) that cannot fold a layer over, whatever way the camera goes in `frames`."""
    reach = np.abs(camera.velocity) * frames + np.abs(camera.acceleration) * frames**2
    limit = 0.2 * half / (reach.max(1) + 1e-3)
    return np.clip(slant, -limit[:, None], limit[:, None])


def scroll(paths: Paths, draws: Draws, text: Flags, top: Indices, pixel: float) -> None:
    """Let the layer `top` (B,) of the clips `text` (B,) scroll evenly along one axis, whatever the camera does."""
    clips = np.flatnonzero(text)
    at = clips, top[clips]
    speed = pixel * draws.between("scroll", 0.3, 9.0)[clips] * np.where(draws.chance("back", 0.3)[clips], 1, -1)
    whole = draws.chance("whole pixels", 0.5)[clips]
    speed = np.where(whole, np.sign(speed) * np.maximum(1, np.rint(np.abs(speed))), speed)
    along = draws.chance("sideways", 0.3)[clips].astype(np.int64)
    paths.velocity[at] = 0
    paths.velocity[(*at, 1 - along)] = speed
    for part in (paths.acceleration, paths.angle, paths.spin, paths.growth, paths.nearness, paths.slant):
        part[at] = 0
    paths.turn[at] = 1e9
    paths.start[at] *= 0.3


def draw_recording(draws: Draws, kind: Indices, task: Task, stride: int) -> Recording:
    """Return how clips with scenes of `kind` (B,) are shown."""
    times, first, held = draw_times(draws, kind, task, stride)
    still = (kind == STILL) | (kind == NEAR)
    cut = np.zeros_like(kind)
    if task.is_forecast and task.context > 1:
        cut = np.where(draws.chance("cut", CUT) & ~held, 1 + draws.among("cut at", task.context - 1), 0)
    blurred, faded = draws.chance("blurred", BLURRED) & ~still, draws.chance("faded", FADED)
    palette = draws.chance("palette", np.where(kind == DRAWING, 0.35, 0.06))
    compressed = ~palette & draws.chance("compressed", np.where(still, 0.6, 0.3))
    grainy = ~palette & draws.chance("grainy", np.where(still, 0.6, 0.25))
    quantiser, usual = draw_quantisers(draws, compressed, task)
    return Recording(
        times=times,
        first=first,
        cut=cut,
        shutter=np.where(blurred, draws.between("shutter", 0.3, 1.0), 0.0),
        light=np.stack([draws.heavy("light", 0.03), draws.between("fade", -0.12, 0.12)], 1) * faded[:, None],
        curtain=np.where(draws.chance("to black", 0.7, 1), 0.0, 1.0) * np.ones(3),
        grey=draws.chance("grey", GREY),
        grain=draw_grain(draws, grainy),
        quantiser=quantiser,
        usual=usual,
        levels=np.where(palette, np.floor(draws.between("levels", 2, 9)), 0.0),
        dither=np.where(draws.chance("dithered", 0.8), 1.0, 0.0),
    )


def draw_grain(draws: Draws, grainy: Flags) -> Floats:
    """Return deviation, the share that all colours have alike, and 1 if it is coarse: (B, 3)."""
    deviation = grainy * (0.004 + 0.05 * draws.unit("grain") ** 2)
    return np.stack([deviation, draws.unit("grain alike"), draws.chance("coarse", 0.4)], axis=1)


def draw_times(draws: Draws, kind: Indices, task: Task, stride: int) -> tuple[Floats, Indices, Flags]:
    """Return what time each frame shows, the first frame that shows it, and which clips hold frames."""
    held = draws.chance("held", HELD) & (kind != STILL) & (kind != NEAR)
    at = np.array(task.given + task.asked)
    period = draws.choice("period", (0.5, 0.25, 0.25))  # 2, 3 and irregular
    even = np.floor((np.arange(task.length) + draws.among("held since", 6)[:, None]) / (2 + period[:, None]))
    uneven = np.cumsum(draws.chance("new", 0.55, task.length), axis=1)
    number = np.where((period == 2)[:, None], uneven, even - even[:, :1])
    number = np.where(held[:, None], number, np.arange(task.length))[:, at]
    first = (number[:, :, None] == number[:, None]).argmax(2)
    apart = np.where(held, draws.between("apart", 1.0, 2.2), 1.0)  # images that are held are further apart in time
    moving = (kind != STILL)[:, None]  # of a still, every frame shows the same time
    return stride * number * moving * apart[:, None], first, held


def draw_quantisers(draws: Draws, compressed: Flags, task: Task) -> tuple[Floats, Floats]:
    """Return the quantiser of each frame (B, T), which may differ from frame to frame, and its usual size (B,)."""
    usual = compressed * (0.012 + 0.12 * draws.unit("quantiser") ** 2)
    change = draws.between("quantiser change", 0.6, 1.4, task.context + task.horizon)
    changes = draws.chance("quantiser changes", 0.5)
    return usual[:, None] * np.where(changes[:, None], change, 1.0), usual
