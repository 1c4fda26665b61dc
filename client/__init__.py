"""The client: a cluster's API as typed calls, and the command line for those who use one.

In: texts, files, ids. Out: jobs, their progress, audio, errors by their code. Talks HTTP to a
gateway and imports nothing of the server's packages. Its public names are in `kokoro_cluster`.
"""
