"""Segment audio to finished files.

In: a job's stored segments and pauses, in order, one at a time.
Out: one file per requested format, encoded in one pass in bounded memory, each with its hash.
Never imports torch.
"""
