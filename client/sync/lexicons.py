"""`KokoroCluster.lexicons`."""

from collections.abc import Iterable

from client import lexicon
from client.lexicon import Lexicon, LexiconEntry
from client.sync.sender import Sender


class Lexicons:
    """The stored pronunciations of a key; jobs name them: `speak(…, lexicons=["names"])`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def list(self) -> tuple[Lexicon, ...]:
        """Return all of them by name, without their entries."""
        return self._sender.send(lexicon.listing()).data

    def get(self, name: str, version: int | None = None) -> Lexicon:
        """Return one with its entries, by default its newest version."""
        return self._sender.send(lexicon.get(name, version))

    def put(
        self, name: str, entries: Iterable[LexiconEntry], *, language: str | None = None
    ) -> Lexicon:
        """Store a content in place of what it had, as its next version; the same again makes none.

        It counts for jobs of `language`, by default for all.
        """
        return self._sender.send(lexicon.put(name, entries, language))

    def delete(self, name: str) -> None:
        """Remove one with all its versions; jobs submitted with it still have theirs."""
        self._sender.send(lexicon.delete(name))
