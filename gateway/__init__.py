"""HTTP in and out: validate, admit, record, ring; serve status and audio.

In: requests. Out: rows in the ledger, wake-ups, bytes from object storage.
No model, no numpy, no audio in memory: a gateway installs without torch.
"""
