"""Everything that starts processes: the command line and the local launcher.

In: settings. Out: running gateways, workers, Redis; all ended again on a signal.
"""
