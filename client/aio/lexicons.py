"""`AsyncKokoroCluster.lexicons`."""

from collections.abc import Iterable

from client import lexicon
from client.aio.sender import AsyncSender
from client.lexicon import Lexicon, LexiconEntry


class AsyncLexicons:
    """The stored pronunciations of a key; jobs name them: `speak(…, lexicons=["names"])`."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    async def list(self) -> tuple[Lexicon, ...]:
        """Return all of them by name, without their entries."""
        return (await self._sender.send(lexicon.listing())).data

    async def get(self, name: str, version: int | None = None) -> Lexicon:
        """Return one with its entries, by default its newest version."""
        return await self._sender.send(lexicon.get(name, version))

    async def put(
        self, name: str, entries: Iterable[LexiconEntry], *, language: str | None = None
    ) -> Lexicon:
        """Store a content in place of what it had, as its next version; the same again makes none.

        It counts for jobs of `language`, by default for all.
        """
        return await self._sender.send(lexicon.put(name, entries, language))

    async def delete(self, name: str) -> None:
        """Remove one with all its versions; jobs submitted with it still have theirs."""
        await self._sender.send(lexicon.delete(name))
