"""`voices` and `workers`."""

import argparse

from client.cli.exits import Exit
from client.cli.output import moment, note, raw_list, write_json, write_table
from client.cli.player import play, player
from client.sync.cluster import KokoroCluster

SAMPLE = "Hello! This is how I sound when I read a sentence or two to you."


def voices(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """List the voices, or play one."""
    if options.play:
        return _play(cluster, options.play)
    found = [v for v in cluster.voices() if options.language in {None, v.language}]
    if options.json:
        write_json(raw_list(found))
        return Exit.OK
    rows = ((voice.id, voice.name, voice.language or "", voice.gender or "") for voice in found)
    write_table(("ID", "NAME", "LANGUAGE", "GENDER"), rows, none="There are no such voices.")
    if any(voice.stand_in for voice in found):
        note("A stand-in speaks for all of them: this cluster has no Kokoro weights.")
    return Exit.OK


def _play(cluster: KokoroCluster, voice: str) -> int:
    chosen = player()
    speech = cluster.speak(SAMPLE, voice=voice, format=chosen.format)
    play(chosen, [speech.data])
    return Exit.OK


def workers(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """List the workers."""
    found = cluster.workers()
    if options.json:
        write_json(raw_list(found))
        return Exit.OK
    rows = (
        (
            worker.id,
            worker.state,
            worker.device or "",
            worker.host,
            str(worker.recycles),
            moment(worker.started_at),
        )
        for worker in found
    )
    heads = ("ID", "STATE", "DEVICE", "HOST", "RECYCLES", "STARTED")
    write_table(heads, rows, none="No worker has been heard of in the last seconds.")
    return Exit.OK
