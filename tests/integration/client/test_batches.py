"""Many jobs at once: through both clients and the command line, by a real cluster."""

import asyncio
import json

import pytest

from client.aio.cluster import AsyncKokoroCluster
from client.batches import Batch
from client.cli.exits import Exit
from client.errors import Conflict, NotFound, UnknownVoice
from client.sync.cluster import KokoroCluster
from tests.faults.cluster import FaultCluster
from tests.integration.client.conftest import Shell, served
from worker.engines.scripted import Fault


@pytest.fixture(autouse=True)
def _served(whole: FaultCluster) -> None:
    served(whole, "/v1/batches")


def test_a_batch_goes_its_way(cluster: KokoroCluster) -> None:
    items = [{"input": f"Item number {n}.", "custom_id": f"item-{n}"} for n in range(5)]
    seen: list[Batch] = []
    made = cluster.batches.submit(items, metadata={"of": "a test"}, idempotency_key="a-batch")
    assert (
        cluster.batches.submit(items, metadata={"of": "a test"}, idempotency_key="a-batch").id
        == made.id
    )
    ended = cluster.batches.wait(made, seen.append)
    assert ended.request_counts.succeeded == 5
    assert ended.metadata == {"of": "a test"}
    assert seen[-1] == ended
    jobs = list(cluster.batches.jobs(made))
    assert [job.custom_id for job in jobs] == [f"item-{n}" for n in range(5)]
    assert len(cluster.audio(jobs[3])) > 1000
    assert made.id in {batch.id for batch in cluster.batches.list()}
    with pytest.raises(Conflict):
        cluster.batches.cancel(made)
    assert cluster.batches.deliveries(made) == ()
    cluster.batches.delete(made)
    with pytest.raises(NotFound):
        cluster.batches.get(made)
    with pytest.raises(UnknownVoice):
        cluster.batches.submit([*items, {"input": "x", "voice": "nobody"}])


def test_a_batch_is_canceled_and_awaited(url: str, whole: FaultCluster) -> None:
    async def use() -> None:
        async with AsyncKokoroCluster(url) as cluster:
            made = await cluster.batches.submit([{"input": whole.words(200)}] * 2)
            canceled = await cluster.batches.cancel(made)
            assert canceled.request_counts.canceled == 2
            assert (await cluster.batches.wait(made, timeout_s=30)).status == "canceled"
            assert [job.status async for job in cluster.batches.jobs(made)] == ["canceled"] * 2
            assert made.id in [batch.id async for batch in cluster.batches.list()]
            assert (await cluster.batches.get(made.id)).ended
            assert await cluster.batches.deliveries(made.id) == ()
            await cluster.batches.delete(made)

    asyncio.run(use())


def test_a_file_of_lines_is_a_batch(shell: Shell) -> None:
    lines = [
        {"input": "Good morning.", "custom_id": "morning", "response_format": "wav"},
        {"input": "Good evening.", "custom_id": "../evening", "format": "mp3"},
    ]
    (shell.folder / "lines.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    made = shell.run("batch", "lines.jsonl")
    assert made.text.startswith("batch_")
    ended = shell.run("batch", "lines.jsonl", "--watch", "-o", "audio")
    assert ended.code == Exit.OK, ended.err
    names = sorted(path.name for path in (shell.folder / "audio").iterdir())
    assert len(names) == 2
    assert "morning.wav" in names
    assert all(not name.startswith(".") for name in names)
    said = json.loads(shell.run("batch", "lines.jsonl", "--watch", "--json").text)
    assert said["request_counts"]["succeeded"] == 2
    lines.append({"input": f"It asks for {Fault.RAISE} in a batch."})
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    failed = shell.run("batch", "-", "--watch", stdin=text.encode())
    assert failed.code == Exit.JOB_UNSUCCESSFUL
    assert "failed" in failed.err
    assert shell.run("batch", "-", stdin=b"{\n").code == Exit.USAGE
    refused = shell.run("batch", "-", stdin=b'{"input": "x", "voice": "nobody"}\n')
    assert refused.code == Exit.REFUSED


def test_texts_and_their_lines_are_batches_that_can_be_come_back_to(
    shell: Shell, whole: FaultCluster
) -> None:
    (shell.folder / "one.txt").write_text("The first text.")
    (shell.folder / "two.txt").write_text("The second text.")
    options = ("--voice", "bf_emma", "--format", "wav")
    ended = shell.run("batch", "one.txt", "two.txt", *options, "--watch", "-o", "audio")
    assert ended.code == Exit.OK, ended.err
    names = sorted(path.name for path in (shell.folder / "audio").iterdir())
    assert names == ["one.wav", "two.wav"]
    (shell.folder / "lines.txt").write_text("One line.\n\nAnother line.\n")
    made = shell.run("batch", "--lines", "lines.txt", "--format", "wav").text.strip()
    watched = shell.run("batches", "watch", made, "-o", "lines")
    assert watched.code == Exit.OK, watched.err
    names = sorted(path.name for path in (shell.folder / "lines").iterdir())
    assert names == ["1.wav", "3.wav"]
    listed = shell.run("batches", "list", "--limit", "1").text.splitlines()
    assert listed[1].split()[:2] == [made, "completed"]
    shown = shell.run("batches", "show", made).text
    assert "2 of 2 ended, 2 of them well" in shown
    assert shown.count("succeeded") == 2
    assert len(json.loads(shell.run("batches", "show", made, "--json").text)["jobs"]) == 2
    assert shell.run("batches", "cancel", made).code == Exit.REFUSED
    deleted = shell.run("batches", "delete", made)
    assert (deleted.code, deleted.text) == (Exit.OK, f"{made} deleted\n")
    assert shell.run("batches", "show", made).code == Exit.REFUSED
    (shell.folder / "long.txt").write_text(whole.words(200))
    long = shell.run("batch", "long.txt").text.strip()
    assert shell.run("batches", "cancel", long).text == f"{long} canceled\n"
    assert shell.run("batches", "watch", long).code == Exit.JOB_UNSUCCESSFUL
    (shell.folder / "book.md").write_text("# One\n")
    assert shell.run("batch", "book.md").code == Exit.USAGE
