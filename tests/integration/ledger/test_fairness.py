"""Who is served next: fair over keys and jobs, alike in length, with a lane for the impatient."""

from shared.ledger.states import Lane
from tests.integration.ledger.conftest import LedgerDriver


def served(ledger: LedgerDriver, batches: int, *, most: int = 4) -> list[list[str]]:
    """Render so many batches; return the uids in each."""
    worker = ledger.worker()
    found = []
    for _ in range(batches):
        claims = worker.claim_segments(most)
        ledger.finish(worker, claims)
        found.append([claim.uid for claim in claims])
    return found


def test_a_short_job_does_not_wait_for_a_book(ledger: LedgerDriver) -> None:
    book = ledger.accept("book")
    ledger.plan([f"b{i}" for i in range(500)])
    served(ledger, 10)
    shorts = [ledger.accept(f"short{i}") for i in range(20)]
    for i in range(20):
        ledger.plan([f"s{i}"])
    order = [uid for batch in served(ledger, 10) for uid in batch]
    assert set(shorts) <= set(order)
    assert book in order


def test_a_key_with_many_jobs_leaves_half_to_a_key_with_one(ledger: LedgerDriver) -> None:
    for i in range(10):
        ledger.accept(f"many{i}", owner="many")
        ledger.plan([f"m{i}-{j}" for j in range(50)])
    one = ledger.accept("one", owner="one")
    ledger.plan([f"o{j}" for j in range(200)])
    order = [uid for batch in served(ledger, 50, most=1) for uid in batch]
    assert 20 <= order.count(one) <= 30


def test_a_share_of_three_gets_three_times_as_much(ledger: LedgerDriver) -> None:
    big = ledger.accept("big", owner="big", share=3.0)
    ledger.plan([f"b{j}" for j in range(200)])
    small = ledger.accept("small", owner="small", share=1.0)
    ledger.plan([f"s{j}" for j in range(200)])
    order = [uid for batch in served(ledger, 80, most=1) for uid in batch]
    assert 2.4 <= order.count(big) / order.count(small) <= 3.6


def test_the_interactive_lane_goes_first_and_batch_work_still_moves(ledger: LedgerDriver) -> None:
    batch = ledger.accept("batch", lane=Lane.BATCH)
    ledger.plan([f"b{j}" for j in range(200)])
    chat = ledger.accept("chat")
    ledger.plan([f"c{j}" for j in range(200)])
    order = [uid for turn in served(ledger, 50, most=1) for uid in turn]
    assert order.count(chat) == 40
    assert order.count(batch) == 10


def test_a_batch_holds_segments_of_alike_length(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan([f"h{i}" for i in range(8)], lengths=[10, 400, 12, 390, 14, 410, 15, 380])
    worker = ledger.worker()
    first = worker.claim_segments(8)
    second = worker.claim_segments(8)
    assert [len(claim.payload.phonemes) for claim in first] == [10, 12, 14, 15]
    assert [len(claim.payload.phonemes) for claim in second] == [400, 410, 390, 380]


def test_a_batch_is_led_by_the_oldest_and_filled_with_those_most_like_it(
    ledger: LedgerDriver,
) -> None:
    ledger.accept()
    ledger.plan([f"h{i}" for i in range(6)], lengths=[100, 140, 75, 99, 300, 102])
    worker = ledger.worker()
    batches = [worker.claim_segments(3) for _ in range(4)]
    lengths = [[len(claim.payload.phonemes) for claim in batch] for batch in batches]
    assert lengths == [[100, 99, 102], [140], [75], [300]]


def test_a_segment_of_unusual_length_is_not_passed_for_ever(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan([f"h{i}" for i in range(200)], lengths=[50] * 5 + [500] + [50] * 194)
    turns = [claims for claims in (ledger.worker().claim_segments(4) for _ in range(3))]
    assert 500 in [len(claim.payload.phonemes) for turn in turns for claim in turn]


def test_a_batch_keeps_to_its_phonemes_with_padding_counted(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan([f"h{i}" for i in range(7)], lengths=[100, 110, 105, 100, 90, 100, 500])
    worker = ledger.worker()
    sizes = []
    for _ in range(4):
        claims = worker.claim_segments(8, phonemes=310)
        sizes.append([len(claim.payload.phonemes) for claim in claims])
        assert len(claims) == 1 or len(claims) * max(sizes[-1]) <= 310
    assert sizes[0] == [100, 100, 100]
    assert [500] in sizes, "a single one may be longer"


def test_one_short_segment_is_claimed_at_once(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h"], lengths=[3])
    ledger.rung()
    claims = ledger.worker().claim_segments(64, phonemes=32_640)
    assert len(claims) == 1
    assert not ledger.rung()


def test_a_batch_is_filled_across_jobs(ledger: LedgerDriver) -> None:
    uids = {ledger.accept(f"j{i}") for i in range(6)}
    for i in range(6):
        ledger.plan([f"h{i}"])
    claims = ledger.worker().claim_segments(8)
    assert {claim.uid for claim in claims} == uids


def test_a_job_that_returns_with_more_text_does_not_jump_the_queue(ledger: LedgerDriver) -> None:
    book = ledger.accept("book")
    planner = ledger.worker("p/1")
    claim = planner.claim_plan(bytes_most=10**6)
    assert claim is not None
    ledger.add(planner, claim, [f"b{i}" for i in range(40)], final=False)
    served(ledger, 40, most=1)
    rest = planner.claim_plan(bytes_most=10**6)
    assert rest is not None
    assert rest.uid == book
    other = ledger.accept("other")
    ledger.plan([f"o{i}" for i in range(40)])
    ledger.add(planner, rest, [f"c{i}" for i in range(40)])
    order = [uid for batch in served(ledger, 20, most=1) for uid in batch]
    assert order.count(other) >= 10
