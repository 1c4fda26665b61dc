"""What keys used, for `/metrics`, where the operator asked for it by name."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class UsageCollector(Collector):
    """Shows what a bounded number of keys used.

    Args:
        used: (owner, characters, seconds of audio) of each.
        names: of keys, by owner.
    """

    def __init__(self, used: Sequence[tuple[str, int, float]], names: Mapping[str, str]) -> None:
        self._used = used
        self._names = names

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics; nothing where no key is to be shown."""
        if not self._used:
            return
        labels = ["key", "name"]
        chars = CounterMetricFamily(
            "kc_key_chars", "Characters of a key's jobs that succeeded.", labels=labels
        )
        audio = CounterMetricFamily(
            "kc_key_audio_seconds", "Audio of a key's jobs that succeeded.", labels=labels
        )
        for owner, used_chars, used_s in self._used:
            label = [owner, self._names.get(owner, "")]
            chars.add_metric(label, used_chars)
            audio.add_metric(label, used_s)
        yield from (chars, audio)
