"""Run by `test_triton_kernels.py`: compiles every kernel for compute capability 9.0."""

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from worker.engines.network import triton_kernels
from worker.engines.network.triton_kernels import BLOCK, GROUP, TILE, TILES, WARPS

NUMBERS = {
    "steps": "i32",
    "chunks": "i32",
    "scale_stride": "i32",
    "shift_stride": "i32",
    "eps": "fp32",
    "slope": "fp32",
    "factor": "fp32",
}
FLOATS = {"partial_at", "scale_at", "shift_at", "gain_at", "offset_at", "alpha_at"}
KERNELS: list[tuple[Any, dict[str, Any]]] = [
    (triton_kernels._moments_kernel, {"ROWS": TILE, "TIMES": TILES, "ADD": True}),
    (triton_kernels._moments_kernel, {"ROWS": TILE, "TIMES": TILES, "ADD": False}),
    (triton_kernels._affine_kernel, {"ROWS": TILE * TILES, "CHUNKS": GROUP}),
    (triton_kernels._apply_kernel, {"ROWS": TILE, "ACTIVATION": 1}),
    (triton_kernels._apply_kernel, {"ROWS": TILE, "ACTIVATION": 0}),
    (triton_kernels._sum_kernel, {"ROWS": TILE, "MORE": True}),
    (triton_kernels._sum_kernel, {"ROWS": TILE, "MORE": False}),
]


def kind(name: str, floats: str) -> str:
    if name == "lengths_at":
        return "*i64"
    if name in FLOATS:
        return "*fp32"
    return f"*{floats}" if name.endswith("_at") else NUMBERS.get(name, "constexpr")


def main() -> None:
    for kernel, constants in KERNELS:
        for floats, channels in (("fp16", 128), ("fp32", 1090)):
            fixed = {"CHANNELS": channels, "COLUMNS": BLOCK, **constants}
            names = list(kernel.arg_names)
            source = ASTSource(
                fn=kernel,
                signature={name: kind(name, floats) for name in names},
                constexprs={(names.index(name),): value for name, value in fixed.items()},
            )
            made = triton.compile(
                source, target=GPUTarget("cuda", 90, 32), options={"num_warps": WARPS}
            )
            assert len(made.asm["cubin"]) > 0
    print("compiled")


if __name__ == "__main__":
    main()
