"""Graphemes to phonemes: one sentence in, phonemes of the model's alphabet and unknown words out.

`make_g2p` builds the G2P of a language; misaki does the work. The only package of the project that
imports misaki and spaCy, and it keeps torch out of the process while it does. One object serves
one thread.
"""

from worker.plan.g2p.base import G2P, Pronunciation
from worker.plan.g2p.make import make_g2p

__all__ = ["G2P", "Pronunciation", "make_g2p"]
