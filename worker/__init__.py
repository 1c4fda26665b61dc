"""Text to audio to storage to webhook: the four stages of a job's way.

In: wake-ups over Celery; the work itself is claimed from the ledger (`shared.ledger`).
Out: segments, segment audio, finished files in object storage, signed webhooks.
`worker.stages` shows a job's way through all of them on one page.
"""
