"""Signed webhooks with retries: one HTTP POST at a time, to an address that was checked.

In: a claimed delivery (its id, URL, frozen body, how often it was tried) and the secrets.
Out: an `Attempt` to record, a verdict on it, and the seconds until the next one.
`sender.send` never raises for what a receiver does, and never takes longer than it was told.
Nothing here reads or writes the ledger.
"""
