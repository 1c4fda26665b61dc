"""The commands of `kokoro-cluster` for those who use a cluster.

In: arguments, stdin, KC_URL and KC_API_KEY. Out: what was asked for on stdout and nothing else
there, what goes on on stderr, and an exit code of `client.cli.exits`.
"""
