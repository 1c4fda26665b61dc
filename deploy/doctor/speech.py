"""What speech is made with: the engine's weights, each language's G2P, the GPUs."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from deploy.doctor.finding import Finding, Verdict
from shared.errors import ClusterError
from shared.languages import Language
from shared.manifest import EngineName
from shared.settings import Settings

NOT_HERE = "The package {name!r} is not installed: this machine can run no {role} worker."
SMI_TIMEOUT_S = 20


def _missing(area: str, check: str, error: ModuleNotFoundError, role: str, extra: str) -> Finding:
    detail = NOT_HERE.format(name=error.name, role=role)
    remedy = f"If it is to run one: pip install 'kokoro-cluster[{extra}]'."
    return Finding(area, check, Verdict.SKIPPED, detail, remedy)


def examine_model(settings: Settings) -> Iterator[Finding]:
    """Load the engine as a synth worker would; a hub's weights only if they are here already."""
    if settings.engine is not EngineName.KOKORO:
        detail = f"KC_ENGINE={settings.engine} is a stand-in, not Kokoro."
        remedy = "Unset KC_ENGINE and set KC_MODEL to Kokoro's weights."
        yield Finding("model", "engine", Verdict.WARNING, detail, remedy)
    elif not os.path.isdir(os.path.expanduser(settings.model)):
        missing = _not_in_cache(settings.model)
        if missing is not None:
            yield missing
            return
    try:
        from worker.engines.loading import load_engine

        engine = load_engine(
            engine=settings.engine,
            model=settings.model,
            device=settings.device,
            precision=settings.precision,
        )
    except ModuleNotFoundError as error:
        yield _missing("model", "weights", error, "synth", "synth")
    except ClusterError as error:
        remedy = "Correct KC_MODEL, KC_ENGINE or KC_DEVICE as it says."
        yield Finding("model", "weights", Verdict.ERROR, error.message, remedy)
    except Exception as error:  # whatever a broken file or a sick device raises
        detail = f"{settings.model} can't be loaded: {type(error).__name__}: {error}"[:400]
        remedy = "Fetch the weights anew; look at the device with nvidia-smi."
        yield Finding("model", "weights", Verdict.ERROR, detail, remedy)
    else:
        manifest = engine.manifest
        detail = f"{manifest.model} is loaded, {len(manifest.voices)} voices, {manifest.precision}."
        if manifest.voices:
            yield Finding("model", "weights", Verdict.OK, detail)
        else:
            remedy = "Put Kokoro's voices/*.pt beside its weights."
            yield Finding("model", "weights", Verdict.ERROR, detail, remedy)


def _not_in_cache(model: str) -> Finding | None:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        return _missing("model", "weights", error, "synth", "synth")
    try:
        snapshot_download(model, local_files_only=True)
    except LocalEntryNotFoundError:
        detail = f"The weights of {model} are not on this machine."
        remedy = (
            "A synth worker fetches them at its first start, some 330 MB, if it can reach the hub;"
            " else copy them here and set KC_MODEL to their folder."
        )
        return Finding("model", "weights", Verdict.WARNING, detail, remedy)
    except HFValidationError:
        detail = f"KC_MODEL={model!r} is neither a folder nor a repository of the hub."
        remedy = "Set it to a folder with config.json, one *.pth and voices/*.pt."
        return Finding("model", "weights", Verdict.ERROR, detail, remedy)
    return None


def examine_g2p(settings: Settings) -> Iterator[Finding]:
    """Pronounce a word in each language."""
    try:
        from worker.plan.g2p import make_g2p
    except ModuleNotFoundError as error:
        yield _missing("g2p", "planner", error, "plan", "plan")
        return
    for language in Language:
        try:
            g2p = make_g2p(language)
            g2p.pronounce("2")
        except ClusterError as error:
            remedy = "Install what it names, if jobs are to speak it; they fail by that name else."
            yield Finding("g2p", language, Verdict.WARNING, error.message, remedy)
        except Exception as error:  # what a broken dictionary raises
            detail = f"{type(error).__name__}: {error}"[:300]
            remedy = "Install the pinned packages again: pip install -c constraints.txt …"
            yield Finding("g2p", language, Verdict.ERROR, detail, remedy)
        else:
            if g2p.degraded:
                yield Finding("g2p", language, Verdict.WARNING, "Not at its best.", g2p.degraded)
            else:
                yield Finding("g2p", language, Verdict.OK, "It is pronounced.")


def examine_gpus(settings: Settings) -> Iterator[Finding]:
    """Compare what the driver and what torch see."""
    listed = _listed()
    wanted = settings.device.startswith("cuda")
    for gpu in listed:
        yield Finding("gpu", "driver", Verdict.OK, gpu)
    if not listed:
        detail = "nvidia-smi lists no GPU here."
        if wanted:
            remedy = "Install NVIDIA's driver (in a container its toolkit), or unset KC_DEVICE."
            yield Finding("gpu", "driver", Verdict.ERROR, detail, remedy)
            return
        yield Finding("gpu", "driver", Verdict.OK, f"{detail} Speech is made on the CPU.")
        return
    try:
        import torch
    except ModuleNotFoundError as error:
        yield _missing("gpu", "torch", error, "synth", "synth")
        return
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    detail = f"torch {torch.__version__} sees {seen} of {len(listed)}."
    if seen:
        yield Finding("gpu", "torch", Verdict.OK, detail)
        return
    remedy = (
        "Look at CUDA_VISIBLE_DEVICES; install a CUDA build of torch that this driver is new enough"
        " for (python -c 'import torch; print(torch.version.cuda)')."
    )
    yield Finding("gpu", "torch", Verdict.ERROR, detail, remedy)


def _listed() -> list[str]:
    """Return the GPUs that the driver lists, by name, driver and memory."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,driver_version,memory.used,memory.total"
    try:
        done = subprocess.run(  # noqa: S603 - the program just found
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=SMI_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] * (
        done.returncode == 0
    )
