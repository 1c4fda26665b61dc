import json
from pathlib import Path

import pytest
import torch

from worker.engines import facts
from worker.engines.checkpoint import TINY_VOICES, WEIGHTS_NAME, write_checkpoint


def test_the_tiny_checkpoint_is_laid_out_as_upstreams_release(tiny_checkpoint: Path) -> None:
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    assert config["synthetic"] is True
    assert config["vocab"] == facts.model_config()["vocab"]
    assert len(config["vocab"]) == 114
    voices = {path.stem for path in (tiny_checkpoint / "voices").iterdir()}
    assert voices == set(TINY_VOICES) <= set(facts.voice_names())
    pack = torch.load(tiny_checkpoint / "voices" / "af_heart.pt", weights_only=True)
    assert (pack.shape, pack.dtype) == ((510, 1, 256), torch.float32)
    checkpoint = torch.load(tiny_checkpoint / WEIGHTS_NAME, weights_only=True)
    assert set(checkpoint) == {"bert", "bert_encoder", "predictor", "text_encoder", "decoder"}
    assert all(key.startswith("module.") for state in checkpoint.values() for key in state)


def test_the_tiny_checkpoint_is_small_on_disk(tiny_checkpoint: Path) -> None:
    assert (tiny_checkpoint / WEIGHTS_NAME).stat().st_size < 6e6


def test_the_same_seed_gives_the_same_files(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "again", size="tiny")
    write_checkpoint(tmp_path / "other", size="tiny", seed=1)
    for name in (WEIGHTS_NAME, "voices/af_heart.pt"):
        content = (tiny_checkpoint / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == content
        assert (tmp_path / "other" / name).read_bytes() != content


def test_it_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_checkpoint(folder, size="tiny")
    write_checkpoint(folder, size="tiny", seed=1)
    assert json.loads((folder / "config.json").read_text())["synthetic_seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

    (folder / "config.json").write_text("{}")
    with pytest.raises(FileExistsError, match="not a synthetic checkpoint"):
        write_checkpoint(folder, size="tiny")
    assert (folder / "config.json").read_text() == "{}"


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="no space left"):
        write_checkpoint(tmp_path / "model", size="tiny")
    assert list(tmp_path.iterdir()) == []
