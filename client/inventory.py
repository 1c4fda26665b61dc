"""What a cluster is made of, and how its queue stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from client.answers import raw_field


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A voice that is loaded; a stand-in's is not Kokoro's."""

    id: str
    name: str = ""
    language: str | None = None
    gender: str | None = None
    stand_in: bool = False
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the cluster speaks with."""

    id: str
    owned_by: str = ""
    stand_in: bool = False
    precision: str = ""
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker that was heard of in the last seconds; `raw` has all it says of itself."""

    id: str
    role: str = ""
    state: str = ""
    host: str = ""
    device: str | None = None
    children: int = 0
    recycles: int = 0
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class VoiceList:
    """All voices."""

    data: tuple[Voice, ...] = ()
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class ModelList:
    """All models."""

    data: tuple[Model, ...] = ()
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class WorkerList:
    """All workers."""

    data: tuple[Worker, ...] = ()
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """The queue over all keys.

    `audio_s_per_s` is what all devices render together while there is work, as measured of late.
    """

    queued_jobs: int = 0
    queued_chars: int = 0
    oldest_queued_s: float = 0.0
    audio_s_per_s: float | None = None
    chars_per_s: float | None = None
    jobs_by_status: Mapping[str, int] = field(default_factory=dict)
    workers: int = 0
    raw: Mapping[str, Any] = raw_field()
