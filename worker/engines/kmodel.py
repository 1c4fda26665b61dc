"""Upstream's `KModel`, imported without its pipeline and loaded without its leniency.

In: a configuration and a weights file. Out: a `KModel` in eval mode on the CPU.
"""

import importlib
import importlib.util
import io
import pickle
import sys
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from shared.errors import ModelUnavailable
from worker.engines.facts import FRAME_SAMPLES, PACK_COLUMNS

MODULES = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")
"""The parts of a checkpoint: each a state dict of its own."""


def kmodel_class() -> Any:
    """Return upstream's `kokoro.KModel`.

    `import kokoro` also imports its pipeline, hence misaki, spaCy and phonemizer, which a synth
    worker never uses: about two seconds and 70 MB in each recycled child. So the package stands
    hollow in `sys.modules` while `kokoro.model` is imported, and is taken out again; a later
    `import kokoro` runs in full and finds the very same module.
    """
    if "kokoro.model" not in sys.modules:
        spec = importlib.util.find_spec("kokoro")
        if spec is None:
            raise ModelUnavailable(
                "The package `kokoro` is not installed: pip install 'kokoro-cluster[synth]'."
            )
        sys.modules["kokoro"] = importlib.util.module_from_spec(spec)
        try:
            importlib.import_module("kokoro.model")
        finally:
            del sys.modules["kokoro"]
        from loguru import logger  # noqa: PLC0415 - comes with kokoro

        logger.disable("kokoro")  # what the skipped package would have done
    return sys.modules["kokoro.model"].KModel


def build(config: Mapping[str, Any], *, initialise: bool = False) -> Any:
    """Return a `KModel` of that configuration, in eval mode, without loaded weights.

    Args:
        config: as in `config.json`.
        initialise: draw upstream's random initial weights from torch's global generator;
            otherwise they are left undefined, which saves seconds when a file replaces them.

    Raises:
        ModelUnavailable: the configuration is not one of this architecture.
    """
    kmodel = kmodel_class()
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    try:
        _check_config(config)
        with warnings.catch_warnings(), nullcontext() if initialise else _SkipRandomInit():
            # Upstream's choices, which nobody who runs a worker can change.
            warnings.filterwarnings("ignore", message="dropout option adds dropout")
            warnings.filterwarnings("ignore", message=".*weight_norm` is deprecated")
            model = kmodel(repo_id="local", config=dict(config), model=nothing)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelUnavailable(
            f"config.json does not describe a Kokoro model ({type(error).__name__}: {error}). "
            "Take config.json and the weights from the same release."
        ) from error
    return model.eval()


def load_weights(model: Any, path: Path) -> None:
    """Fill a built model from a checkpoint file, refusing any that does not fit exactly.

    Upstream falls back to `strict=False` when a key does not fit, and then speaks noise; here
    only two groups may be absent, because upstream's own checkpoints rely on their defaults or
    never use them: the instance norms' affine parameters (identity) and PL-BERT's pooler.

    Raises:
        ModelUnavailable: the file is unreadable, truncated, or of another architecture.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelUnavailable(
            f"{path} cannot be read as weights ({_first_line(error)}). Download the file again."
        ) from error
    if not isinstance(checkpoint, dict) or set(checkpoint) != set(MODULES):
        found = sorted(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint)
        raise ModelUnavailable(
            f"{path} holds {found}, not Kokoro's modules {sorted(MODULES)}. {_REMEDY}"
        )
    for name in MODULES:
        _load_module(getattr(model, name), checkpoint.pop(name), f"{path}, module {name}")


def fold_weight_norm(model: Any) -> None:
    """Replace each weight-normalised weight by its value, computed once and not per call.

    Upstream computes g·v/‖v‖ in every forward; the value is the same to the last bit.
    """
    for module in model.modules():
        if hasattr(module, "weight_g"):
            torch.nn.utils.remove_weight_norm(module)


_REMEDY = "Take config.json and the weights from the same release."


def _check_config(config: Mapping[str, Any]) -> None:
    n_token = config["n_token"]
    vocab = config["vocab"]
    if not vocab or not all(isinstance(i, int) and 0 < i < n_token for i in vocab.values()):
        raise ValueError(f"the vocabulary must map symbols to 1 … {n_token - 1}")
    if not all(len(symbol) == 1 for symbol in vocab):
        raise ValueError("each symbol of the vocabulary must be one character")
    if config["style_dim"] * 2 != PACK_COLUMNS:
        raise ValueError(f"style_dim must be {PACK_COLUMNS // 2}, half a voice pack's columns")
    istft = config["istftnet"]
    frame = 2 * istft["gen_istft_hop_size"]
    for rate in istft["upsample_rates"]:
        frame *= rate
    if frame != FRAME_SAMPLES:
        raise ValueError(f"a frame has {frame} samples instead of {FRAME_SAMPLES}")


def _load_module(module: torch.nn.Module, state: Any, where: str) -> None:
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelUnavailable(f"{where}: not a state dict of tensors. {_REMEDY}")
    # Upstream's files were saved from DataParallel, which prefixes every key.
    tensors = {
        key.removeprefix("module."): value.float().contiguous()
        for key, value in state.items()
        if not key.endswith("position_ids")  # a constant that older transformers saved
    }
    expected = {key: value.shape for key, value in module.state_dict().items()}
    wrong = [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(shape)}"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    missing = expected.keys() - tensors.keys() - _optional_keys(module)
    wrong += [f"{key} is missing" for key in sorted(missing)]
    wrong += [f"{key} is unknown" for key in sorted(tensors.keys() - expected.keys())]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ModelUnavailable(f"{where}: {'; '.join(wrong[:5])}{more}. {_REMEDY}")
    module.load_state_dict(tensors, strict=False, assign=True)
    for name in ("pooler.weight", "pooler.bias"):
        if name in expected and name not in tensors:
            torch.nn.init.zeros_(module.get_parameter(name))  # else it stays undefined memory


def _optional_keys(module: torch.nn.Module) -> set[str]:
    optional = {"pooler.weight", "pooler.bias"}
    for name, child in module.named_modules():
        if isinstance(child, torch.nn.InstanceNorm1d):
            optional |= {f"{name}.weight", f"{name}.bias"}
    return optional


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


class _SkipRandomInit(TorchFunctionMode):
    """Leaves freshly made parameters undefined instead of drawing 80 million numbers."""

    _DRAWS = frozenset({"uniform_", "normal_", "kaiming_uniform_", "xavier_uniform_"})

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func.__name__ in self._DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        if func is torch._weight_norm:
            return args[0].detach()  # g·v/‖v‖ of undefined numbers, computed again once loaded
        return func(*args, **(kwargs or {}))
