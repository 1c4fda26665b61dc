"""How near `eta_s` is to what then happens, by jobs that are watched to their end.

In: scenes, each with a job that takes longer than 20 s, alone or beside others of other keys that
come before its half. Out: for each the estimate at a quarter, at half and at three quarters of its
time, and how far that was from the time it then took. Runs the whole local cluster with the
scripted engine, whose device sleeps for as long as a real one would compute; all else is real.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.long_text import make_text
from benchmarks.report import Report, Table, Target, options
from benchmarks.rig import Cluster, cluster, settings_for, workplace
from shared.apikeys import add_key

ENGINE = "scripted:sleep_per_audio_s=0.02"
BATCH = 8
CHARS = 24_000
"""Of the watched job: some 1,700 s of audio, 34 s of the device."""
WARM_CHARS = 3_000
LOOK_EVERY_S = 0.2
MOST_OFF = 0.25
GIVE_UP_AFTER_S = 400
KEY_ENV = "KOKORO_CLUSTER_API_KEY"


@dataclass
class Clients:
    """Keys of one cluster; each text is new, so that no audio is reused."""

    url: str
    tokens: list[str]
    texts: int = 0
    open: list[httpx.Client] = field(default_factory=list)

    def of(self, key: int) -> httpx.Client:
        """Return a client with a key of its own."""
        while len(self.open) <= key:
            headers = {"Authorization": f"Bearer {self.tokens[len(self.open)]}"}
            self.open.append(
                httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)
            )
        return self.open[key]

    def submit(self, key: int, chars: int, **fields: Any) -> str:
        """Submit a text nobody has said before; return the job's id."""
        self.texts += 1
        text = make_text(chars, first=100_000 * self.texts)
        body = {"input": text, "response_format": "flac", **fields}
        answer = self.of(key).post("/v1/jobs", json=body)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def job(self, key: int, job_id: str) -> dict[str, Any]:
        """Look at a job."""
        answer = self.of(key).get(f"/v1/jobs/{job_id}")
        answer.raise_for_status()
        return dict(answer.json())

    def finish(self, key: int, job_id: str) -> None:
        """Return once a job has ended well."""
        began = time.monotonic()
        while (job := self.job(key, job_id))["status"] != "succeeded":
            if job["status"] not in {"queued", "processing"}:
                raise RuntimeError(f"a job is {job['status']}: {job['error']}")
            if time.monotonic() - began > GIVE_UP_AFTER_S:
                raise TimeoutError(f"{job_id} has not ended")
            time.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """Close the connections."""
        for client in self.open:
            client.close()


@dataclass(frozen=True)
class Scene:
    """What else goes on.

    Attributes:
        before: has others there before the watched job comes.
        later: seconds after it → has others come then.
        fields: of the watched job.
    """

    name: str
    before: Callable[[Clients], None] | None = None
    later: tuple[tuple[float, Callable[[Clients], None]], ...] = ()
    chars: int = CHARS
    fields: dict[str, Any] = field(default_factory=dict)


def others(keys: range, chars: int, count: int = 1, **fields: Any) -> Callable[[Clients], None]:
    """Return what submits `count` texts for each of some keys."""

    def submit(clients: Clients) -> None:
        for key in keys:
            for _ in range(count):
                clients.submit(key, chars, **fields)

    return submit


SCENES = (
    Scene("alone"),
    Scene("alone, MP3", fields={"response_format": "mp3"}),
    Scene("beside another key's equal job", before=others(range(1, 2), CHARS), chars=CHARS // 2),
    Scene(
        "three other keys come at 8 s, with half as much each",
        later=((8, others(range(1, 4), CHARS // 2)),),
    ),
    Scene(
        "behind three jobs of its own key",
        before=others(range(1), CHARS // 2, 3),
        chars=CHARS // 2,
    ),
    Scene(
        "beside 300 sentences of two other keys, 60 more at 5 s",
        before=others(range(1, 3), 150, 150),
        later=((5, others(range(1, 3), 150, 30)),),
    ),
    Scene(
        "in the batch lane, beside interactive jobs that come at 5 s",
        later=((5, others(range(1, 3), CHARS // 4)),),
        fields={"priority": "batch"},
    ),
)
QUICK_SCENES = (SCENES[0], SCENES[3])


@contextmanager
def running(folder: Path, engine: str) -> Iterator[tuple[Cluster, Clients]]:
    """Run a cluster with keys, warm: something was rendered and encoded in each format used."""
    keys = folder / "keys.json"
    tokens = [add_key(keys, f"key-{n}")[1] for n in range(4)]
    os.environ[KEY_ENV] = tokens[0]
    try:
        settings = settings_for(folder, model=engine, batch_max=BATCH, api_keys_file=keys)
        with cluster(settings) as found:
            clients = Clients(found.local.url, tokens)
            try:
                for format_ in ("flac", "mp3"):
                    job = clients.submit(0, WARM_CHARS, response_format=format_)
                    clients.finish(0, job)
                yield found, clients
            finally:
                clients.close()
    finally:
        del os.environ[KEY_ENV]


def watch(clients: Clients, scene: Scene) -> dict[str, Any]:
    """Watch one job to its end; return its time and what was said of it on the way."""
    if scene.before is not None:
        scene.before(clients)
    began = time.monotonic()
    job_id = clients.submit(0, scene.chars, **scene.fields)
    waiting = list(scene.later)
    said: list[tuple[float, float | None]] = []
    while True:
        now = time.monotonic() - began
        if waiting and now >= waiting[0][0]:
            waiting.pop(0)[1](clients)
            now = time.monotonic() - began
        job = clients.job(0, job_id)
        if job["status"] == "succeeded":
            break
        if job["status"] not in {"queued", "processing"} or now > GIVE_UP_AFTER_S:
            raise RuntimeError(f"{job_id} is {job['status']} after {now:.0f} s: {job['error']}")
        said.append((now, job["eta_s"]))
        time.sleep(LOOK_EVERY_S)
    if waiting:
        raise RuntimeError("the job ended before the others came: nothing was measured")
    total_s = time.monotonic() - began
    at = {part: _at(said, part * total_s, total_s) for part in (0.25, 0.5, 0.75)}
    later_s = [when for when, _ in scene.later]
    return {
        "scene": scene.name,
        "total_s": total_s,
        "others_before_half": not later_s or max(later_s) < total_s / 2,
        "half_eta_s": at[0.5][0],
        "half_took_s": at[0.5][1],
        "off": {str(part): _off(*pair) for part, pair in at.items()},
        "said": [(round(when, 2), eta) for when, eta in said],
    }


def _at(
    said: list[tuple[float, float | None]], when: float, total_s: float
) -> tuple[float | None, float]:
    """Return what was said nearest to a time, and what it then took."""
    at, eta = min(said, key=lambda item: abs(item[0] - when))
    return eta, total_s - at


def _off(eta: float | None, took_s: float) -> float | None:
    return None if eta is None else abs(eta - took_s) / took_s


def main() -> None:
    """Watch the scenes and report."""
    parser = options(__doc__)
    parser.add_argument("--engine", default=ENGINE, help="a script of the scripted engine")
    parser.add_argument("--scene", type=int, nargs="*", help="numbers of scenes, from 0")
    parser.add_argument("--chars", type=int, help="of the watched job, in place of each scene's")
    chosen = parser.parse_args()
    scenes: tuple[Scene, ...] = QUICK_SCENES if chosen.quick else SCENES
    if chosen.scene:
        scenes = tuple(SCENES[number] for number in chosen.scene)
    if chosen.chars:
        scenes = tuple(replace(scene, chars=chosen.chars) for scene in scenes)
    report = Report(
        "eta",
        "how near the estimated end of a job is to its end",
        corpus=f"texts of up to {CHARS:,} characters, each said for the first time",
        precision=f"scripted engine, a device that sleeps: {chosen.engine}",
        quick=chosen.quick,
        notes=[
            "off: the difference between eta_s and the time it then took, over the latter",
            f"looked at every {LOOK_EVERY_S} s; batches of up to {BATCH} segments",
        ],
    )
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        with workplace() as folder, running(folder, chosen.engine) as (_, clients):
            rows.append(watch(clients, scene))
    report.figures["scenes"] = rows
    report.tables.append(
        Table(
            "One job, watched to its end",
            ["scene", "took, s", "at half: eta, s", "then took, s", "off", "at 25 %", "at 75 %"],
            [
                [
                    row["scene"],
                    row["total_s"],
                    row["half_eta_s"],
                    row["half_took_s"],
                    *(row["off"][part] for part in ("0.5", "0.25", "0.75")),
                ]
                for row in rows
            ],
        )
    )
    report.targets += [
        Target(f"off at half: {row['scene']}", row["off"]["0.5"], most=MOST_OFF) for row in rows
    ]
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
