"""Segments in, audio out: the `Engine` interface and the engines that have it.

In: a list of `SegmentInput`. Out: one `SegmentAudio` each, in the same order.
`worker.engines.loading.load_engine` picks one by the settings; only `kokoro` imports torch.
"""

import os

# OpenMP's idle threads otherwise spin for the next bit of work. Where anything else runs on these
# cores, and here the gateway or a planner always does, that takes the very cores the work needs:
# measured with both cores of a machine in use, 2 to 4 times the time and the power. Read when
# torch is imported; the environment may still say otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
