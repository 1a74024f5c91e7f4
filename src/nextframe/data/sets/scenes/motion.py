"""How layers move: closed forms of time, so that a scene may be drawn at any moment, and every flow is exact.

A point of a layer has material coordinates u, in pixels from the layer's middle. A layer may wave (two shears by
sines, which can be undone exactly); then it stands in the world by its own turn, zoom and place; then the camera sees
it, nearer layers moving by more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextframe.core.seeds.seeding import Floats
from nextframe.data.sets.scenes.draws import Draws, Flags, Table

FASTEST = 22.0  # pixels a frame of a layer's or the camera's own motion, in frames whose shorter side is `USUAL`
USUAL = 192
NEVER = 1e9  # frames until a turn that does not happen


@dataclass(frozen=True)
class Camera(Table):
    """The camera of each clip; `velocity` (B, 2) in pixels a frame of a layer of nearness 1, x first."""

    velocity: Floats  # (B, 2)
    acceleration: Floats  # (B, 2)
    roll: Floats  # (B,) radians a frame
    dolly: Floats  # (B,) a layer of nearness 1 grows by exp(dolly) a frame
    shake: Floats  # (B, 2, 3): pixels, radians a frame and phase of a sine, for x and y


@dataclass(frozen=True)
class Paths(Table):
    """The own motion of each layer; `turn` is when it stops (rebound 0) or is thrown back, for x, y and rotation."""

    start: Floats  # (B, L, 2) pixels from the frame's middle, when half of the clip is over
    velocity: Floats  # (B, L, 2)
    acceleration: Floats  # (B, L, 2)
    spin: Floats  # (B, L) radians a frame
    angle: Floats  # (B, L)
    growth: Floats  # (B, L) a layer grows by exp(growth) a frame
    turn: Floats  # (B, L, 3)
    rebound: Floats  # (B, L, 3)
    nearness: Floats  # (B, L) of what the camera moves a layer by; 0: it stays on the screen
    slant: Floats  # (B, L) how much nearer the layer is at the frame's lower edge than in its middle


def draw_camera(draws: Draws, pans: Flags, walks: Flags, shakes: Flags, pixel: float) -> Camera:
    """Return cameras that pan, roll and zoom in the clips `pans`, go forwards in `walks`, and shake in `shakes`."""
    angle = 2 * np.pi * draws.unit("pan angle")
    speed = pixel * FASTEST * draws.unit("pan speed") ** 2.5 * pans
    velocity = speed[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    forwards = np.where(draws.chance("backwards", 0.3), -1, 1) * draws.between("walk", 0.01, 0.08)
    shake = np.stack(
        [
            pixel * shakes[:, None] * draws.unit("shake", 1) ** 2 * draws.between("shake size", 0.1, 1.5, 2),
            draws.between("shake rate", 0.5, 2.5, 2),
            2 * np.pi * draws.unit("shake phase", 2),
        ],
        axis=2,
    )
    return Camera(
        velocity=velocity,
        acceleration=velocity * draws.heavy("pan acceleration", 0.25, 2),
        roll=draws.heavy("roll", 0.03) * pans,
        dolly=np.where(walks, forwards, draws.heavy("dolly", 0.03) * pans),
        shake=shake,
    )


def draw_paths(draws: Draws, moves: Flags, size: tuple[int, int], frames: float) -> Paths:
    """Return paths of layers, of which those in `moves` (B, L) have a motion of their own."""
    layers, pixel = moves.shape[1], min(size) / USUAL
    angle, speed = 2 * np.pi * draws.unit("angle", layers), FASTEST * pixel * draws.unit("speed", layers) ** 2
    velocity = (speed * moves)[..., None] * np.stack([np.cos(angle), np.sin(angle)], 2)
    turns = moves & draws.chance("rotates", 0.5, layers)
    grows = moves & draws.chance("grows", 0.4, layers)
    turn, rebound = draw_turns(draws, layers, frames)
    return Paths(
        start=draws.between("start", -0.5, 0.5, layers, 2) * (size[1], size[0]),
        velocity=velocity,
        acceleration=velocity * draws.heavy("acceleration", 0.35, layers, 2),
        spin=draws.heavy("spin", 0.25, layers) * turns,
        angle=2 * np.pi * draws.unit("rotation", layers),
        growth=draws.heavy("growth", 0.08, layers) * grows,
        turn=turn,
        rebound=rebound,
        nearness=np.sort(draws.between("nearness", 0.25, 1.6, layers), axis=1),
        slant=draws.heavy("slant", 0.35, layers),
    )


def draw_turns(draws: Draws, layers: int, frames: float) -> tuple[Floats, Floats]:
    """Return when layers stop or bounce and how much speed is left, (B, L, 3) each, for x, y and rotation."""
    what = draws.choice("turns", (0.6, 0.2, 0.2), layers)[..., None]  # goes on, bounces off a wall, stops
    wall = draws.among("wall", 2, layers)[..., None]
    hit = (what == 2) | ((what == 1) & (np.arange(3) == wall))
    turn = np.where(hit, draws.between("turn", 0.0, frames, layers, 1), NEVER)
    return turn, np.where(what == 1, draws.between("rebound", 0.4, 1.0, layers, 1), 0.0) * np.ones(3)


def matrices(paths: Paths, camera: Camera, times: Floats, middle: float, half: float) -> Floats:
    """Return where layers stand, (B, L, S, 2, 3): material coordinates to pixels from the frame's middle.

    Args:
        paths: the layers' own motion.
        camera: how the camera moves.
        times: (B, S) in frames.
        middle: the time at which layers are at their start.
        half: half of the frame's height in pixels, where `slant` is meant.
    """
    place, angle, growth = own_motion(paths, times[:, None], middle)
    seen, shift = camera_motion(paths, camera, times[:, None], middle, half)
    linear = seen @ (np.exp(growth)[..., None, None] * rotation(angle))
    moved = (seen @ place[..., None]) + shift[..., None]
    return np.concatenate([linear, moved], axis=-1)


def own_motion(paths: Paths, times: Floats, middle: float) -> tuple[Floats, Floats, Floats]:
    """Return places (B, L, S, 2), angles and logarithms of sizes (B, L, S) at times (B, 1, S)."""

    def travelled(time: Floats) -> Floats:
        """Frames of motion until `time`, (B, L, S, 3): fewer after a stop, backwards after a bounce."""
        turn = paths.turn[:, :, None]
        after = np.maximum(time[..., None] - turn, 0)
        return np.asarray(np.minimum(time[..., None], turn) - paths.rebound[:, :, None] * after)

    def displacement(gone: Floats) -> Floats:
        xy = gone[..., :2]
        return np.asarray(paths.velocity[:, :, None] * xy + paths.acceleration[:, :, None] * xy**2 / 2)

    gone, half = travelled(times), travelled(np.full((1, 1, 1), middle))
    place = paths.start[:, :, None] + displacement(gone) - displacement(half)
    return place, paths.angle[..., None] + paths.spin[..., None] * gone[..., 2], paths.growth[..., None] * gone[..., 2]


def camera_motion(paths: Paths, camera: Camera, times: Floats, middle: float, half: float) -> tuple[Floats, Floats]:
    """Return what the camera does to each layer: matrices (B, L, S, 2, 2) and shifts (B, L, S, 2)."""
    time, near = times - middle, paths.nearness[..., None]  # (B, 1, S), (B, L, 1)
    gone = (
        camera.velocity[:, None, None] * time[..., None] + camera.acceleration[:, None, None] * time[..., None] ** 2 / 2
    )
    size, rate, phase = np.moveaxis(camera.shake, 2, 0)[:, :, None, None]  # (B, 1, 1, 2) each
    away = (gone + size * np.sin(rate * time[..., None] + phase)) * near[..., None]  # (B, L, S, 2)
    slanted = np.zeros((*away.shape, 2)) + np.eye(2)
    slanted[..., 1] -= away * (paths.slant[..., None, None] * np.ones_like(away)) / half
    turned = np.exp(near * camera.dolly[:, None, None] * time)[..., None, None] * rotation(
        camera.roll[:, None, None] * time * (near > 0)
    )
    return turned @ slanted, -(turned @ away[..., None])[..., 0]


def rotation(angle: Floats) -> Floats:
    """Return matrices (..., 2, 2) that turn by `angle`."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def inverse(matrix: Floats) -> Floats:
    """Return the maps (..., 2, 3) that undo `matrix`."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)
