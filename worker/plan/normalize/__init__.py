"""Text normalisation: what a G2P would misread, written out before it is read.

Spoken text enters, spoken text leaves; every stretch that was written out leads back to the
input. Numbers as such are left to the G2Ps, which read them well: only what they get wrong is
changed (`docs/decisions/0017-documents-lexicons-normalisation.md` tells what). Japanese and
Mandarin have readers of their own, and are not touched.
"""

from worker.plan.normalize.normalizer import Normalizer

__all__ = ["Normalizer"]
