"""Kokoro's network as a batched, masked forward that equals upstream's batch 1 item by item.

`network.Network` is the whole of it: `text` gives durations and features, `speech` gives audio.
Between the two lies the one value that the host must read: how long each item is.

All tensors are (batch, time, channels): what a convolution in channels-last, a matrix product and
a norm over time all want without a copy.
"""
