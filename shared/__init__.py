"""What crosses the wire between the gateway and the workers.

In: settings from the environment, requests from the gateway, progress from the workers.
Out: the ledger (Redis, the truth about every job), object storage, Celery's wake-ups.
Nothing here imports torch, numpy, fastapi or a G2P; importing a module does no I/O.
"""
