"""Encoders and decoders of small images by strided convolutions, after DCGAN (Radford, Metz & Chintala 2016)."""

from __future__ import annotations

import math

import torch
from torch import nn

from nextframe.layers.batch_norm import BatchNorm2d

COARSEST = 4  # pixels of the shorter side where an encoder ends and a decoder begins


def start_small(part: nn.Module) -> None:
    """Draw the weights as DCGAN does, with deviation 0.02 around 0, or around 1 in a batch norm."""
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)


def encoder(channels: int, width: int, size: tuple[int, int], count: int) -> nn.Sequential:
    """Return a network from images (N, C, *size) to (N, count): halved until 4 pixels of the shorter side are left."""
    halvings = int(math.log2(min(size) / COARSEST))
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for index in range(halvings - 1):
        before, after = width << index, width << (index + 1)
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), BatchNorm2d(after), nn.LeakyReLU(0.2)]
    grid = (size[0] >> halvings, size[1] >> halvings)
    layers.append(nn.Conv2d(width << (halvings - 1), count, grid, bias=False))
    return _fast(nn.Sequential(*layers, nn.Flatten()))


def decoder(count: int, width: int, size: int, channels: int) -> nn.Sequential:
    """Return a network from (N, count, 1, 1) to the logits of images (N, C, size, size): 4 pixels, then doubled."""
    doublings = int(math.log2(size / COARSEST))
    widest = width << (doublings - 1)
    layers = [nn.ConvTranspose2d(count, widest, COARSEST, bias=False), BatchNorm2d(widest), nn.ReLU()]
    for index in range(doublings - 1):
        before, after = widest >> index, widest >> (index + 1)
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), BatchNorm2d(after), nn.ReLU()]
    return _fast(nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False)))


def _fast(network: nn.Sequential) -> nn.Sequential:
    """Return the network with its weights in the order in which a CPU reads few channels fastest."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
