"""Every setting, read once per process from `KC_*` variables and passed on as a frozen object.

An unknown `KC_*` name or a bad value stops the process with one readable line.
"""

import os
import platform
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import InvalidSettings
from shared.manifest import EngineName
from shared.redis_url import watched, with_tls_files
from shared.steps import Step

PREFIX = "KC_"

OF_THE_CLIENT = frozenset({"KC_URL", "KC_API_KEY"})
"""What the command line's user may have set where a cluster is started as well."""

DAY_S = 86_400


class Settings(BaseSettings):
    """What an operator can set; the field's name in capitals after `KC_` is the variable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", frozen=True, extra="ignore"
    )

    # Where things are
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis or Valkey: the ledger and the broker. Give it a database of its own. "
        "`rediss://…` for TLS, `redis+sentinel://host,host/0?service=name` for Sentinel.",
    )
    redis_ca_file: Path | None = Field(
        None,
        description="Certificates that Redis' own is trusted by. Empty: those of the system.",
    )
    redis_cert_file: Path | None = Field(
        None, description="Certificate shown to a Redis that asks for one."
    )
    redis_key_file: Path | None = Field(None, description="The key of that certificate.")
    storage_url: str = Field(
        "",
        description="`file:///…`, `s3://…`, `gs://…` or `az://…`. Empty: in the data folder.",
    )
    storage_endpoint: str | None = Field(
        None, description="An S3 endpoint other than Amazon's, for example MinIO's."
    )
    storage_public_endpoint: str | None = Field(
        None, description="The same endpoint as clients reach it, for presigned URLs."
    )
    data_dir: Path = Field(
        Path("data"),
        description="Local folder for Redis's files, objects, run files and temporary encodings.",
    )

    # The gateway
    host: str = Field(
        "127.0.0.1",
        description="Address the gateway binds. Without keys only loopback is accepted.",
    )
    port: int = Field(8880, ge=1, le=65_535, description="Port of the gateway.")
    public_url: str = Field(
        "", description="Base of the URLs in jobs and webhooks. Empty: taken from the request."
    )
    api_keys_file: Path | None = Field(
        None, description="File of hashed API keys, made by `kokoro-cluster keys add`."
    )
    insecure: bool = Field(False, description="Allow a public address without keys.")
    max_input_chars: int = Field(
        2_000_000, ge=1, le=2_000_000, description="Longest input of one job, in characters."
    )
    max_upload_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        le=256 * 1024 * 1024,
        description="Largest document of one upload, in bytes; 413 past it.",
    )
    document_readers: int = Field(
        2, ge=1, le=64, description="Processes that read uploaded documents at a time."
    )
    max_queued_chars: int = Field(
        20_000_000,
        ge=1,
        description="Cap on characters accepted and not yet finished, over all keys; 503 past it.",
    )
    max_queued_jobs: int = Field(
        100_000, ge=1, description="Cap on jobs accepted and not yet finished; 503 past it."
    )
    key_rate_per_min: int = Field(
        6_000,
        ge=1,
        description="Jobs a minute for a key that sets no rate of its own; 429 past it.",
    )
    key_max_queued_chars: int = Field(
        10_000_000,
        ge=1,
        description="Queued characters for a key that sets no cap of its own; 429 past it.",
    )
    idempotency_ttl_s: int = Field(
        DAY_S, ge=1, description="Seconds an `Idempotency-Key` is remembered."
    )
    presign_ttl_s: int = Field(
        3600, ge=1, le=7 * DAY_S, description="Seconds a presigned download URL is good for."
    )

    live_encoders: int = Field(
        1,
        ge=1,
        le=64,
        description="Most processes of one gateway that encode audio while it is streamed; each "
        "is started when first needed.",
    )

    metrics_keys: int = Field(
        0,
        ge=0,
        le=1000,
        description="Keys whose usage `/metrics` shows by name to whoever reads it: so many of "
        "those that used most characters. 0: none.",
    )

    # Jobs
    job_deadline_s: int = Field(
        DAY_S,
        ge=1,
        description="Seconds a job may take when it sets no `deadline_s`; then it is `expired`.",
    )
    job_deadline_max_s: int = Field(
        2 * DAY_S, ge=1, description="Longest `deadline_s` a job may ask for."
    )
    job_ttl_s: int = Field(
        7 * DAY_S,
        ge=1,
        description="Seconds a finished job's audio is kept when it sets no `ttl_s`.",
    )
    job_ttl_max_s: int = Field(30 * DAY_S, ge=1, description="Longest `ttl_s` a job may ask for.")
    record_ttl_s: int = Field(
        7 * DAY_S,
        ge=0,
        description="Seconds a job's record outlives its audio (410 instead of 404).",
    )
    segment_ttl_s: int = Field(
        7 * DAY_S, ge=1, description="Seconds unused segment audio is kept for reuse."
    )

    # The local launcher (`make up`)
    redis_port: int = Field(
        6380, ge=1, le=65_535, description="Port of the Redis that `make up` starts of its own."
    )
    synth_workers: int = Field(
        0, ge=0, le=64, description="Synth workers `make up` starts; 0: one per GPU, or one."
    )

    # The engine
    engine: EngineName = Field(
        EngineName.KOKORO,
        description="`kokoro`, or `espeak` (the stand-in), or `scripted` (tests).",
    )
    model: str = Field(
        "hexgrad/Kokoro-82M", description="Kokoro's weights: a folder or a hub repository."
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="`auto`, `cpu` or `cuda:N`."
    )
    precision: Literal["exact", "fast"] = Field(
        "exact",
        description="Numerics of the engine, part of every segment's hash: `exact` is upstream's, "
        "`fast` computes the wide convolutions more coarsely.",
    )
    batch_max: int = Field(
        64, ge=1, le=256, description="Most segments in one batch; the engine may ask for fewer."
    )
    recycle_after_jobs: int = Field(
        500,
        ge=1,
        description="Tasks after which a synth worker's child process is replaced: a task is up to "
        "10 s of batches, or one short job. Planners and encoders live 20 times as long.",
    )
    recycle_jitter: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share by which each worker's count is lowered at random, to keep them apart.",
    )
    recycle_rss_mib: int = Field(
        4096,
        ge=0,
        description="MiB of the machine's memory beyond which a worker's child is replaced between "
        "two tasks; 0: whatever it holds. It may always hold a quarter more than in its first "
        "tasks.",
    )
    recycle_gpu_growth_mib: int = Field(
        0,
        ge=0,
        description="MiB by which the memory in use on a synth worker's GPU, by whomever, may grow "
        "after a child's first tasks; then the child is replaced. 0: however much.",
    )
    idle_unload_s: float = Field(
        0,
        ge=0,
        description="Seconds without a task after which a synth worker gives its model's memory "
        "back, host's and GPU's; the next job waits until it is loaded again. 0: never.",
    )
    model_load_timeout_s: float = Field(
        60, gt=0, description="Seconds a child may take to load its model."
    )

    # Leases and retries
    lease_s: float = Field(
        5, gt=0, le=300, description="Seconds a worker's lease lives without renewal."
    )
    reconcile_interval_s: float = Field(
        0.5, gt=0, le=60, description="Seconds between two rounds of the reconciler."
    )
    attempts_max: int = Field(
        3, ge=1, le=20, description="Times an item is tried before its job fails."
    )
    render_timeout_s: float = Field(
        120,
        gt=0,
        description="Seconds a batch may take per minute of its audio; then its child is killed.",
    )
    plan_timeout_s: float = Field(
        120, gt=0, description="Seconds one slice may be planned before its child is killed."
    )
    assemble_timeout_s: float = Field(
        7200, gt=0, description="Seconds one job may be assembled before the child is killed."
    )
    store_timeout_s: float = Field(
        600, gt=0, description="Seconds finished audio is held while storage or Redis is away."
    )
    nice: int = Field(
        5,
        ge=0,
        le=19,
        description="Niceness of workers' processes: a gateway and a Redis on the same machine go "
        "first, so that no health probe starves behind inference.",
    )
    soft_shutdown_s: float = Field(
        4, ge=0, description="Seconds a worker told to stop may finish its task."
    )
    plan_slice_chars: int = Field(
        65_536,
        ge=8192,
        le=1_000_000,
        description="Characters of a long text that are planned at a time.",
    )
    plan_workers: int = Field(1, ge=1, le=256, description="Processes of one plan worker.")
    assemble_workers: int = Field(
        2, ge=1, le=256, description="Processes of one assemble worker; one is left to short jobs."
    )
    deliver_workers: int = Field(32, ge=1, le=256, description="Threads of one deliver worker.")

    # Webhooks
    webhook_secret: str = Field(
        "",
        repr=False,
        description="`whsec_…`; several while rotating, with spaces between, the new one first.",
    )
    cors_origins: str = Field(
        "",
        description="Web pages of other origins that may call the gateway: "
        "`https://app.example,…`, or `*` for all.",
    )
    webhook_allow_private: str = Field(
        "", description="Private networks webhooks may go to: `10.0.0.0/8,…`."
    )
    webhook_ports: str = Field("80,443", description="Ports webhooks may go to; `*` for all.")
    webhook_connect_timeout_s: float = Field(
        3, gt=0, description="Seconds to connect to a receiver."
    )
    webhook_timeout_s: float = Field(15, gt=0, description="Seconds one delivery may take in all.")
    webhook_schedule_s: Annotated[tuple[float, ...], NoDecode] = Field(
        (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400),
        description="Seconds before each retry, separated by commas.",
    )
    webhook_host_concurrency: int = Field(4, ge=1, description="Deliveries to one host at a time.")

    # For fault injection and audits
    crash_at: Step | None = Field(
        None,
        description="A step of `shared/steps.py` at which one process ends as by SIGKILL, once.",
    )
    event_log: Path | None = Field(
        None, description="File to which each process appends a line for each step it takes."
    )

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level logged."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="`json`, or `console` for people."
    )

    @field_validator("webhook_schedule_s", mode="before")
    @classmethod
    def _split_schedule(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _redis_can_be_asked(self) -> Self:
        watched(self.redis)
        return self

    @model_validator(mode="after")
    def _segments_outlive_jobs(self) -> Self:
        # An open job counts on reused audio, so that audio must outlast every job.
        if self.segment_ttl_s < self.job_deadline_max_s:
            raise ValueError("KC_SEGMENT_TTL_S must not be shorter than KC_JOB_DEADLINE_MAX_S")
        if self.job_deadline_s > self.job_deadline_max_s or self.job_ttl_s > self.job_ttl_max_s:
            raise ValueError("a default (KC_JOB_DEADLINE_S, KC_JOB_TTL_S) is above its maximum")
        return self

    def as_environment(self) -> dict[str, str]:
        """Return what was set explicitly as the variables another process would read."""
        found = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if isinstance(value, tuple):
                value = ",".join(map(str, value))
            if value is not None:
                found[PREFIX + name.upper()] = str(value)
        return found

    @property
    def redis(self) -> str:
        """The address of Redis, with the files for TLS in it."""
        return with_tls_files(
            self.redis_url,
            ca=self.redis_ca_file,
            cert=self.redis_cert_file,
            key=self.redis_key_file,
        )

    @property
    def storage(self) -> str:
        """The storage URL, the default filled in."""
        return self.storage_url or (self.data_dir.resolve() / "objects").as_uri()

    @property
    def run_dir(self) -> Path:
        """Folder where a worker's parent and children leave notes for one another.

        The machine is in its name: containers that share the data folder share no processes.
        """
        return self.data_dir / "run" / platform.node()

    @property
    def render_budget_s(self) -> float:
        """Longest a synth task may take: the longest batch at the lowest speed, then storing."""
        longest_minutes = max(1.0, self.batch_max * 510 / 17 / 0.25 / 60)
        return self.render_timeout_s * longest_minutes + self.store_timeout_s


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and, beneath it, the file `.env`.

    Raises:
        InvalidSettings: a `KC_*` name is unknown or a value is bad; the message names it.
    """
    dotenv = Path(".env")
    names = [*os.environ, *(dotenv_values(dotenv) if dotenv.is_file() else ())]
    for name in names:
        if (
            name.startswith(PREFIX)
            and name not in OF_THE_CLIENT
            and name.removeprefix(PREFIX).lower() not in Settings.model_fields
        ):
            raise InvalidSettings(f"Unknown setting {name}. The README's table lists them all.")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{PREFIX}{str(first['loc'][0]).upper()}: " if first["loc"] else ""
        raise InvalidSettings(f"Bad setting. {name}{first['msg']}.") from error
