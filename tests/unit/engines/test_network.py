"""The batched forward equals upstream's batch 1, item by item."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from worker.engines.checkpoint import WEIGHTS_NAME
from worker.engines.kmodel import build, fold_weight_norm, load_weights
from worker.engines.network.network import HARMONICS, Network

Case = tuple[list[int], str, float, int]
"""Token ids without marks, voice, speed, seed."""


@pytest.fixture
def in_float64() -> Iterator[None]:
    """Upstream makes some of its constants in torch's default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Upstream:
    """Upstream's own model, fed a given noise, with its two arbitrary choices settled."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self.model = copy.deepcopy(model).to(dtype)
        transform = self.model.decoder.generator.stft
        transform.window = torch.hann_window(transform.win_length, dtype=dtype)
        plain = transform.transform

        def settled(samples: Tensor) -> tuple[Tensor, Tensor]:
            # The first and last window are symmetric, so their angle is 0 or ±π, and which of
            # the latter two is decided by a rounding.
            magnitude, phase = plain(samples)
            ends = phase[..., [0, -1]]
            phase[..., [0, -1]] = torch.where(ends.cos() < 0, math.pi, 0.0).to(dtype)
            return magnitude, phase

        transform.transform = settled

    def __call__(self, tokens: list[int], style: Tensor, speed: float, noise: Tensor) -> Any:
        """Return audio and durations; `noise` is (9, at least as many samples as are spoken)."""
        plain = torch.randn_like

        def given(like: Tensor) -> Tensor:
            return noise[:, : like.shape[1]].T.unsqueeze(0) if like.dim() == 3 else plain(like)

        torch.randn_like = given  # type: ignore[assignment]
        try:
            return self.model.forward_with_tokens(torch.tensor([tokens]), style, speed)
        finally:
            torch.randn_like = plain


def load_model(folder: Path) -> Any:
    model = build(json.loads((folder / "config.json").read_text()))
    load_weights(model, folder / WEIGHTS_NAME)
    fold_weight_norm(model)
    return model


@pytest.mark.usefixtures("in_float64")
def test_in_float64_each_item_of_a_padded_batch_equals_upstream(tiny_checkpoint: Path) -> None:
    model = load_model(tiny_checkpoint)
    upstream = Upstream(model, torch.float64)
    network = Network(model).double()
    cases = [(40, "af_heart", 1.0), (3, "bf_emma", 2.0), (17, "jf_alpha", 0.6), (1, "af_sky", 1.3)]
    generator = torch.Generator().manual_seed(1)
    tokens = [
        [0, *torch.randint(1, 170, (length,), generator=generator).tolist(), 0]
        for length, _, _ in cases
    ]
    style = torch.cat(
        [
            torch.load(tiny_checkpoint / "voices" / f"{voice}.pt", weights_only=True)[length - 1]
            for length, voice, _ in cases
        ]
    ).double()
    speed = torch.tensor([speed for _, _, speed in cases])
    lengths = torch.tensor([len(ids) for ids in tokens])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in tokens], True)
    with torch.no_grad():
        spoken = network.text(padded, lengths, style, speed, full=False)
        frames = spoken.durations.sum(1)
        width = int(frames.max()) + 5
        noise = torch.randn(len(cases), HARMONICS, 600 * width, generator=generator)
        samples = network.speech(spoken, frames, width, style, noise, full=False)
        for i, ids in enumerate(tokens):
            audio, durations = upstream(ids, style[i : i + 1], float(speed[i]), noise[i])
            assert spoken.durations[i, : len(ids)].tolist() == durations.flatten().tolist()
            assert not spoken.durations[i, len(ids) :].any()
            error = (samples[i, : len(audio)] - audio).norm() / audio.norm()
            assert error <= 1e-9
            assert not samples[i, len(audio) :].any()
