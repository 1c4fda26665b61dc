"""`kokoro-cluster doctor`: whether what a cluster hangs on is as it should be, and what to do.

In: the settings of a process. Out: findings, each with a remedy where one is needed. It changes
nothing but for small objects in the store, which it deletes.
"""
