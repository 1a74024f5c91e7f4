"""The plain forms that speed is measured beside compute what the models do: the same losses, frames and steps."""

import pytest
import torch

from nextframe.checkpoint import create_model
from nextframe.core.clip import Task
from nextframe.models.peers.peer import PEERS, peer_of

TINY = {
    "convlstm": {"hidden": (4, 3, 2)},
    "predrnn": {"hidden": 3, "layers": 2, "frame_height": 8, "frame_width": 12},
    "simvp": {"context": 3, "encoder_width": 4, "width": 8, "blocks": 3, "ratio": 2.0},
    "compact": {"context": 3, "horizon": 2, "width": 6, "blocks": 4, "reach": 5},
    "composite-lstm": {"hidden": (5,), "frame_height": 8, "frame_width": 12},
    "flow": {},
}


def pair(name: str):
    """A tiny model in double precision, and its peer with the same weights."""
    torch.manual_seed(0)
    peer_class = peer_of(name)
    model = create_model(name, **{**peer_class.fields, **TINY[name]}).double()
    for parameter in model.parameters():  # away from zero, so that nothing is hidden
        parameter.data += 0.1 * torch.rand_like(parameter)
    peer = peer_class(model.config).double()
    peer.take(model.state_dict())
    return model, peer


def clip(seed: int = 0, batch: int = 2):
    frames = torch.rand(batch, 6, 1, 8, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Task.forecast(3, 3).split(frames)


def test_every_peer_is_of_a_model_and_is_tested():
    assert set(TINY) == set(PEERS)


@pytest.mark.parametrize("name", [n for n in PEERS if peer_of(n).same and peer_of(n).trainable])
def test_equal_loss_curves(name):
    model, peer = pair(name)
    (objective,) = model.stages()[0].objectives
    curves = []
    for module, loss in ((model, lambda c: objective.loss(c)[0]), (peer, peer.loss)):
        optimizer, losses = torch.optim.Adam(module.parameters(), lr=1e-3), []
        module.train()
        for step in range(4):
            optimizer.zero_grad()
            value = loss(clip(step))
            value.backward()
            optimizer.step()
            losses.append(value.item())
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], rel=1e-9)
    assert len(set(curves[0])) == 4


@pytest.mark.parametrize("name", [n for n in PEERS if peer_of(n).same and peer_of(n).trainable])
def test_equal_frames(name):
    model, peer = pair(name)
    context = clip().context
    with torch.no_grad():
        ours = model.predict(context, 5, clamp=False)
        assert torch.allclose(ours, peer.eval().forecast(context, 5), atol=1e-9)


@pytest.mark.parametrize("name", ["convlstm", "predrnn"])
def test_equal_steps_of_a_stream(name):
    model, peer = (module.eval() for module in pair(name))
    context = clip().context
    with torch.no_grad():
        for module in (model, peer):
            state = module.prime(context[:, :-1])
            frame, state = module.step(state, context[:, -1])
            again, _ = module.step(state, frame)
            found = (frame, again)
            if module is model:
                kept = found
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(kept, found, strict=True))


def test_flow_moves_a_texture_as_its_plain_form_does():
    """The same frames; and where nothing comes from beyond the border both predict the shift."""
    model, peer = create_model("flow"), peer_of("flow")(create_model("flow").config)
    texture = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 72, 72, generator=torch.Generator().manual_seed(0)), 3)
    texture = torch.nn.functional.interpolate(texture, scale_factor=4, mode="bilinear")[0, 0]
    frames = torch.stack([texture[8:72, 40 - 2 * t - 20 : 84 - 2 * t][:, :64] for t in range(5)])[None, :, None]
    future = peer.forecast(frames[:, :3], 2)
    torch.testing.assert_close(model.predict(frames[:, :3], 2), future)
    assert (future - frames[:, 3:])[..., 8:-8, 12:-12].abs().mean() < 0.02


def test_torch_lstm_learns_the_same_target_and_predicts_in_range():
    model, peer = pair("composite-lstm")
    state = [p.clone() for p in peer.parameters()]
    peer.take(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(state, peer.parameters(), strict=True))
    future = peer.forecast(clip().context, 4)
    assert future.shape == (2, 4, 1, 8, 12)
    assert 0 < future.min() <= future.max() < 1
    for parameter in peer.parameters():  # without weights both are a coin's cross-entropy, summed over 96 pixels
        parameter.data.zero_()
    for parameter in model.parameters():
        parameter.data.zero_()
    expected = 2 * 96 * torch.log(torch.tensor(2.0, dtype=torch.float64))
    assert peer.loss(clip()).item() == pytest.approx(expected.item())
    assert model.loss(clip())[0].item() == pytest.approx(expected.item())
