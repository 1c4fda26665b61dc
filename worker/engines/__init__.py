"""Segments in, audio out: the `Engine` interface and the engines that have it.

In: a list of `SegmentInput`. Out: one `SegmentAudio` each, in the same order.
`worker.engines.loading.load_engine` picks one by the settings; only `kokoro` imports torch.
"""

import os

# OpenMP's idle threads spin for the next bit of work, by default for so long that where anything
# else runs on these cores (here the gateway or a planner always does) they take the very cores the
# work needs. A short spin costs little on an idle machine and saves most of that on a busy one.
# Read when torch is imported; the environment may still say otherwise.
SPINS = "20000"
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
