"""`lexicons`: stored pronunciations."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from client.cli.exits import Exit, UsageError
from client.cli.jobs import each
from client.cli.output import moment, note, raw_list, write_json, write_table
from client.cli.texts import read_text
from client.errors import UnreadableAnswer
from client.lexicon import Lexicon, LexiconEntry
from client.reading import read
from client.sync.cluster import KokoroCluster


def listing(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """List lexicons."""
    found = cluster.lexicons.list()
    if options.json:
        write_json(raw_list(found))
        return Exit.OK
    heads = ("NAME", "VERSION", "LANGUAGE", "WORDS", "CHANGED")
    write_table(heads, (_row(one) for one in found), none="There are no lexicons.")
    return Exit.OK


def _row(lexicon: Lexicon) -> tuple[str, ...]:
    return (
        lexicon.name,
        str(lexicon.version),
        lexicon.language or "all",
        f"{lexicon.entries_total:,}",
        moment(lexicon.updated_at),
    )


def show(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Show a lexicon's words."""
    found = cluster.lexicons.get(options.name, options.version)
    if options.json:
        write_json(dict(found.raw))
        return Exit.OK
    rows = (
        (entry.word, f"/{entry.phonemes}/" if entry.phonemes else entry.respelling or "", case)
        for entry in found.entries or ()
        for case in ["as written" if entry.case_sensitive else ""]
    )
    write_table(("WORD", "SAID", "CASE"), rows, none="It has no words.")
    return Exit.OK


def put(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Store a lexicon's words."""
    entries, language = content_of(read_text(options.file))
    stored = cluster.lexicons.put(options.name, entries, language=options.language or language)
    if options.json:
        write_json(dict(stored.raw))
    else:
        print(f"{stored.name}@{stored.version}")
        note(f"{stored.entries_total:,} words, for jobs in {stored.language or 'all languages'}")
    return Exit.OK


def delete(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Delete lexicons, each that can be."""

    def one(name: str) -> dict[str, object]:
        cluster.lexicons.delete(name)
        return {"name": name, "object": "lexicon", "deleted": True}

    return each(options.names, one, "deleted", as_json=options.json)


def content_of(text: str) -> tuple[list[LexiconEntry], str | None]:
    """Read a lexicon's entries and its language, from JSON or from lines `word = said`.

    Raises:
        UsageError: it is neither; the message has the place.
    """
    if text.lstrip()[:1] in {"{", "["}:
        return _from_json(text)
    return list(_from_lines(text)), None


def _from_json(text: str) -> tuple[list[LexiconEntry], str | None]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"The lexicon is not JSON: {error}.") from error
    whole: dict[str, Any] = {"entries": data} if isinstance(data, list) else data
    rows, language = whole.get("entries"), whole.get("language")
    if not isinstance(rows, list) or not isinstance(language, str | None):
        raise UsageError('A lexicon in JSON is {"language": …, "entries": [{"word": …}, …]}.')
    try:
        return [read(LexiconEntry, row, f"entry {n}") for n, row in enumerate(rows)], language
    except UnreadableAnswer as error:
        raise UsageError(error.message.replace("The server's entry", "Entry")) from error


def _from_lines(text: str) -> Iterator[LexiconEntry]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, mark, said = (part.strip() for part in line.partition("="))
        if not word or not mark or not said:
            raise UsageError(f"Line {number} is not `word = what is said`.")
        if len(said) > 2 and said.startswith("/") and said.endswith("/"):
            yield LexiconEntry(word=word, phonemes=said[1:-1])
        else:
            yield LexiconEntry(word=word, respelling=said)
