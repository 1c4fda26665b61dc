from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from shared.languages import Language
from shared.manifest import EngineName
from shared.voices import parse_voice
from worker.engines.base import Engine, SegmentInput
from worker.engines.checkpoint import write_checkpoint
from worker.engines.loading import load_engine

PHONEMES = "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˌOvəɹ ðə lˈAzi dˈɔɡ."
TEXT = "The quick brown fox jumps over the lazy dog."

MakeSegment = Callable[..., SegmentInput]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Test processes share few cores; threads that spin for each other cost more than they give."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_segment() -> MakeSegment:
    def make(
        *,
        phonemes: str = PHONEMES,
        text: str = TEXT,
        language: Language = Language.AMERICAN_ENGLISH,
        voice: str = "af_heart",
        speed: float = 1.0,
        seed: int = 1,
    ) -> SegmentInput:
        return SegmentInput(phonemes, text, language, parse_voice(voice), speed, seed)

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write_checkpoint(folder, size="tiny")
    return folder


@pytest.fixture(scope="session")
def kokoro_engine(tiny_checkpoint: Path) -> Engine:
    return load_engine(
        engine=EngineName.KOKORO, model=str(tiny_checkpoint), device="cpu", precision="exact"
    )
