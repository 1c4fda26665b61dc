"""Text in, segments out: markup, sentences, G2P, packing. CPU only, never torch.

In: a window of a job's text. Out: `PlannedSegment`s and how much of the window they cover.
`worker.plan.planner.Planner` is the way through.
"""
