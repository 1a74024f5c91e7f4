"""Attention inside windows: who sees whom, and the bias of relative places."""

from __future__ import annotations

import torch
from torch import nn

from nextframe.layers.swin import SwinBlock, WindowAttention


def seen(attention: WindowAttention, size: int, row: int, column: int) -> list[tuple[int, int]]:
    """Return the positions of a map of `size` a side whose outcome depends on the one at (row, column)."""
    x = torch.zeros(1, size, size, 4)
    changed = x.clone()
    changed[0, row, column] = 1.0
    with torch.no_grad():
        differs = (attention(x) != attention(changed)).any(-1)[0]
    return [tuple(place) for place in differs.nonzero().tolist()]


def test_positions_see_their_own_window_alone() -> None:
    torch.manual_seed(0)
    assert seen(WindowAttention(4, 2, 2), 4, 1, 2) == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_shifted_windows_straddle_the_others_and_do_not_wrap_around() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(4, 2, 2, shift=1)
    assert seen(attention, 4, 1, 2) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert seen(attention, 4, 0, 0) == [(0, 0)]
    assert seen(attention, 4, 3, 1) == [(3, 1), (3, 2)]


def test_without_a_mask_opposite_sides_meet() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(4, 2, 2, shift=1, masked=False)
    assert seen(attention, 4, 0, 0) == [(0, 0), (0, 3), (3, 0), (3, 3)]


def test_a_map_of_one_window_is_not_shifted() -> None:
    torch.manual_seed(0)
    assert len(seen(WindowAttention(4, 2, 4, shift=2), 4, 0, 0)) == 16


def test_one_window_is_ordinary_attention_with_a_bias_of_the_offset() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(6, 2, 2).double()
    nn.init.normal_(attention.bias)
    x = torch.randn(3, 2, 2, 6, dtype=torch.float64)
    # offsets (row, column) of four positions from one another, as places 3 (row + 1) + column + 1 in the table
    table = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    bias = attention.bias[torch.tensor(table)].permute(2, 0, 1).repeat(3, 1, 1)
    qkv, out = attention.qkv, attention.out
    tokens = x.flatten(1, 2).transpose(0, 1)
    plain, _ = nn.functional.multi_head_attention_forward(
        tokens, tokens, tokens, 6, 2, qkv.weight, qkv.bias, None, None, False, 0.0, out.weight, out.bias, attn_mask=bias
    )  # fmt: skip
    torch.testing.assert_close(attention(x), plain.transpose(0, 1).unflatten(1, (2, 2)))


def test_the_block_adds_to_its_input() -> None:
    block = SwinBlock(4, 2, 2, shift=1)
    for layer in (block.attention.out, block.mlp[2]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.randn(2, 4, 6, 4)
    assert torch.equal(block(x), x)
