"""Segments in, audio out: the `Engine` interface and the engines that have it.

In: a list of `SegmentInput`. Out: one `SegmentAudio` each, in the same order.
`worker.engines.loading.load_engine` picks one by the settings; only `kokoro` imports torch.
"""
