"""The way of a job through the workers: four stages, each claim → work → record.

    POST /v1/jobs ──▶ ledger ──ring──▶ plan ──▶ segments ──ring──▶ synth ──▶ segment audio
                                                                              │
              receiver ◀── deliver ◀──ring── outbox row ◀── assemble ◀──ring──┘

What records work for a stage rings that stage, in the same step of the ledger. A wake-up is only a
hint: each stage first claims from the ledger, and a claim that finds nothing is a no-op. What a
stage records is refused if its lease is gone. How each step is done lies with the stage's own
object (`worker.planning`, `rendering`, `assembling`, `delivering`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.assembling import Assembling
    from worker.delivering import Delivering
    from worker.device_batch import Batch, Work
    from worker.planning import Planning
    from worker.rendering import Rendering


def plan(stage: "Planning") -> bool:
    """Text → segments, and questions → answers. Returns whether more waits.

    Of a job that says one segment of another anew the others are kept as they are.
    """
    asked = stage.answer_asks()
    claim = stage.ledger.claim_plan(bytes_most=stage.window_bytes)
    if claim is None:
        return asked
    with stage.busy(claim):
        if claim.keeps:
            stage.keep(claim)
        else:
            window = stage.window(claim)
            sliced = stage.split_into_segments(claim, window)
            stage.record(claim, window, sliced)
    return claim.more or asked


def synth(stage: "Rendering") -> bool:
    """Segments → audio, a shift of batches. Returns whether there was any.

    While one batch is rendered, the last is stored and recorded and the next is claimed
    (`worker.pipeline`): only `render` is done with nothing but the device in mind.
    """

    def claim() -> "Work":
        return stage.prepare(stage.claim())

    def keep(rendered: "Batch") -> None:
        with stage.keeping(rendered):
            ours = stage.confirm(rendered)
            good = stage.check(ours)
            stored = stage.store(good)
            stage.record(stored)

    with stage.shift(claim, keep) as shift:
        for work in shift:
            shift.keep(stage.render(work))
    return shift.batches > 0


def assemble(stage: "Assembling") -> bool:
    """Segment audio → one file per format, and captions. Returns whether more waits."""
    claim = stage.ledger.claim_assembly(long_most=stage.long_most)
    if claim is None:
        return False
    with stage.busy(claim):
        files = stage.encode(claim)
        stored = stage.store(claim, files)
        stage.record(claim, stored)
    return claim.more


def deliver(stage: "Delivering") -> bool:
    """Outbox row → signed POST. Returns whether there was work."""
    if not stage.can_sign:
        return False
    claim = stage.ledger.claim_delivery(host_slots=stage.settings.webhook_host_concurrency)
    if claim is None:
        return False
    with stage.busy(claim):
        body = stage.frozen_body(claim)
        attempt = stage.send(claim, body)
        stage.record(claim, attempt)
    return True
