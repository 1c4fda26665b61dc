"""A lexicon through real workers: what it changes is rendered anew, and nothing else."""

from shared.ledger.lexicons import Lexicons
from shared.ledger.states import JobStatus
from shared.lexicon import Entry, make_lexicon
from tests.integration.workers.conftest import Cluster

TEXT = "We run Kubernetes here.\n\nThis has none of the words.\n\nNor has the last one."


def put(cluster: Cluster, phonemes: str) -> None:
    lexicon = make_lexicon(None, [Entry("Kubernetes", phonemes)])
    cluster.ledger.ask(
        lambda intake: Lexicons(intake.client).put("local", "names", lexicon, lexicon.to_json())
    )


def test_a_changed_lexicon_renders_anew_what_has_its_words(cluster: Cluster) -> None:
    cluster.start("synth")
    plain = cluster.finished(cluster.submit(TEXT))
    put(cluster, "kjˈubz")
    first = cluster.finished(cluster.submit(TEXT, lexicons=("names",)))
    put(cluster, "kˈubɛs")
    second = cluster.finished(cluster.submit(TEXT, lexicons=("names",)))
    old = cluster.finished(cluster.submit(TEXT, lexicons=("names@1",)))
    assert all(job.status is JobStatus.SUCCEEDED for job in (plain, first, second, old))
    assert [job.segments_reused for job in (plain, first, second, old)] == [0, 2, 2, 3]
    assert (first.lexicons, second.lexicons) == (("names@1",), ("names@2",))


def test_a_lexicon_that_was_deleted_still_serves_the_jobs_that_wait(cluster: Cluster) -> None:
    put(cluster, "kjˈubz")
    cluster.start("synth")
    expected = cluster.finished(cluster.submit(TEXT, lexicons=("names",)))
    uid = cluster.submit(TEXT, lexicons=("names",))
    cluster.ledger.ask(lambda intake: Lexicons(intake.client).delete("local", "names"))
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert job.segments_reused == expected.segments_total
    assert cluster.client.keys("kc:lexicon:*") == []
