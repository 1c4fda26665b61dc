"""What happens at the door: rows 4, 12 and 17."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from shared.steps import Step, crash_marker
from tests.faults.cluster import FaultCluster, Probes
from tests.faults.rows_workers import steady
from tests.faults.run import CannotTry, Run, row


@row(
    4,
    "kill the gateway before the record, and after it with the ring",
    "a 202 always runs; the idempotency key gives the same job",
    quick=True,
)
def gateway_killed(run: Run) -> None:
    with run.cluster() as cluster:
        cluster.start_all(synth=1, deliver=False)
        for step in (Step.SUBMIT_CHECKED, Step.SUBMIT_RECORDED):
            cluster.supervisor.end(["gateway"])
            cluster.start("gateway", "gateway", crash_at=step)
            cluster.wait_until_ready()
            for _ in range(run.times(4, quick=1)):
                began = time.monotonic()
                job = cluster.submit(cluster.words())
                run.fault()
                run.must(f"it died at {step}", cluster.died_at(step))
                died = cluster.event("cut", after=began)["mono"]
                run.recovered(time.monotonic() - died)
                if step is Step.SUBMIT_RECORDED:
                    first = cluster.event(step, after=began)["job"]
                    run.must("the repeat gave the recorded job", job == first, (job, first))
                cluster.wait_for([job])
                crash_marker(cluster.settings.run_dir, step).unlink()  # armed again
        cluster.supervisor.end(["gateway"])
        cluster.start("gateway", "gateway")
        cluster.wait_until_ready()
        _killed_at_random(run, cluster, kills=run.times(6, quick=1))


def _killed_at_random(run: Run, cluster: FaultCluster, *, kills: int) -> None:
    stopping = threading.Event()

    def go() -> None:
        while not stopping.wait(0.05):
            cluster.submit(cluster.words())

    clients = [threading.Thread(target=go, daemon=True) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(kills):
        time.sleep(run.dice.uniform(0.5, 1.5))
        killed = cluster.kill(cluster.pid("gateway"))
        run.fault()
        cluster.event(Step.SUBMIT_RECORDED, after=killed + 0.01)
        run.recovered(time.monotonic() - killed)
    stopping.set()
    for client in clients:
        client.join(70)


@row(
    12,
    "a burst of ten times capacity",
    "429 past the cap; all accepted succeed; probes 100 %, p99 ≤ 50 ms",
    alone=True,
)
def burst(run: Run) -> None:
    jobs_most = 200
    sentence = "A sentence of the burst that takes its time."
    with run.cluster(
        key_max_queued_chars=jobs_most * len(f"{sentence} 0000"), recycle_after_jobs=5
    ) as cluster:
        cluster.start_all(
            deliver=False, model="scripted:sleep_s=0.5,load_s=1", batch_max=4, recycle_after_jobs=5
        )
        statuses: list[int] = []
        texts = iter([f"{sentence} {n:04d}" for n in range(10 * jobs_most)])
        lock = threading.Lock()

        def go() -> None:
            with httpx.Client(
                base_url=str(cluster.client.base_url), timeout=20, trust_env=False
            ) as client:
                while True:
                    with lock:
                        words = next(texts, None)
                    if words is None:
                        return
                    body = {"input": words, "response_format": "wav", "speed": 4}
                    answer = client.post("/v1/jobs", json=body)
                    statuses.append(answer.status_code)
                    if answer.is_success:
                        cluster.note_accepted(answer)

        with Probes(cluster) as probes:
            time.sleep(2)
            clients = [threading.Thread(target=go, daemon=True) for _ in range(16)]
            for client in clients:
                client.start()
            for client in clients:
                client.join(120)
            run.fault()
            began = time.monotonic()
            cluster.wait(lambda: not int(cluster.ledger.get("kc:queued_jobs") or 0), 120)
            run.recovered(time.monotonic() - began)
        accepted, refused = statuses.count(202), statuses.count(429)
        run.must("every submission was answered 202 or 429", accepted + refused == len(statuses))
        run.must("past the cap it is 429", refused > 0, f"{refused} of {len(statuses)}")
        run.must("up to the cap all are accepted", accepted >= jobs_most, accepted)
        run.must("children were recycled meanwhile", cluster.count("recycles") > 0)
        steady(run, probes)
        views = cluster.wait_for(cluster.accepted)
        run.must("all accepted succeeded", {v["status"] for v in views} == {"succeeded"})


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """Have a folder be a disk of its own for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise CannotTry("a disk to fill can only be mounted by root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@row(17, "Redis full; disk full", "503 at submission; what was accepted survives")
def full(run: Run) -> None:
    with run.cluster("memory") as cluster:
        cluster.start_all(synth=1, deliver=False, model="scripted:sleep_s=0.5", batch_max=2)
        for _ in range(run.times(3, quick=1)):
            jobs = [cluster.submit(cluster.words(4)) for _ in range(3)]
            cluster.ledger.config_set("maxmemory", 1)
            run.fault()
            cluster.kill_parent("synth.0")  # and it has to come back all the same
            refused = cluster.post({"input": cluster.words()})
            run.must(
                "a full Redis refuses with 503", refused.status_code == 503, refused.text[:200]
            )
            began = time.monotonic()
            views = cluster.wait_for(jobs)
            run.recovered(time.monotonic() - began)
            statuses = {view["status"] for view in views}
            run.must("what was accepted is finished in it", statuses == {"succeeded"}, statuses)
            cluster.ledger.config_set("maxmemory", 0)
    disk = run.folder / "disk"
    with small_disk(disk, 48), run.cluster("one-disk", disk=disk, redis_disk=disk) as cluster:
        _disk_full(run, cluster, disk, refused=True)
    with small_disk(disk, 48), run.cluster("two-disks", disk=disk) as cluster:
        _disk_full(run, cluster, disk, refused=False)


def _disk_full(run: Run, cluster: FaultCluster, disk: Path, *, refused: bool) -> None:
    """Fill a disk in the middle of jobs; Redis is on it too where submissions are `refused`."""
    cluster.start_all(deliver=False, model="scripted:sleep_s=0.5", batch_max=2)
    for _ in range(run.times(2, quick=1)):
        jobs = [cluster.submit(cluster.words(4), response_format="mp3") for _ in range(3)]
        jobs += [cluster.submit(cluster.words(4)) for _ in range(3)]
        cluster.event(Step.SYNTH_BEGUN, job=jobs[-1])
        fill(disk / "ballast")
        run.fault()
        if refused:
            cluster.wait(lambda: refuses(cluster), 30)
            run.must("a full disk refuses with 503", True)
        time.sleep(8)
        open_ = [cluster.look(job)["status"] for job in jobs]
        run.must("nothing fails of it", "failed" not in open_, open_)
        (disk / "ballast").unlink()
        began = time.monotonic()
        views = cluster.wait_for(jobs)
        run.recovered(time.monotonic() - began)
        statuses = {view["status"] for view in views}
        run.must("what was accepted survives", statuses == {"succeeded"}, statuses)
        whole = all(cluster.audio_is_whole(v) for v in views if v["output"]["format"] == "wav")
        run.must("its audio is whole", whole)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def refuses(cluster: FaultCluster) -> bool:
    """Return whether a submission is refused with 503; one that is accepted counts as any."""
    answer = cluster.post({"input": cluster.words(), "response_format": "wav"})
    if answer.is_success:
        cluster.note_accepted(answer)
    return answer.status_code == 503
