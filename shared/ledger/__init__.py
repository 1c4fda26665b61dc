"""The ledger: the truth about every job, kept in Redis.

In: what clients ask (`intake`, async), what workers claim and finish (`work`), what a crash left
half-done (`upkeep`). Out: leases with fencing tokens, and one outcome for every job.
Every change is one atomic Lua script from `lua/`; `states` holds the only transition tables.
"""
