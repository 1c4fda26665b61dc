"""Small questions from a gateway to any plan worker: answered soon, or by nobody.

    Asks.ask ──▶ kc:asks ──ring──▶ Answers.take ─▶ the planner ─▶ Answers.give ──▶ kc:answer:<id>

Nothing of it is durable: a question that nobody took in time is gone, and one that was taken is
asked no second time, so that what ends a planner ends one.
"""

import asyncio
import json
import secrets
import time
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import redis
import redis.asyncio

from shared.errors import (
    ClusterError,
    InvalidInput,
    InvalidMarkup,
    LanguageUnavailable,
    NothingToSpeak,
    PlannersBusy,
    PlannersSilent,
    UnknownLanguage,
    UnknownLexicon,
)
from shared.ledger.scripts import script, text

WAITING_MOST = 64
"""Questions that wait at a time; more are refused."""

OWN_MOST = 16
"""The same of one API key, so that no key takes all the room."""

BODY_MOST_CHARS = 200_000
"""Of one question as JSON."""

ANSWER_KEPT_MS = 10_000
LOOK_EVERY_S, LOOK_UNHEARD_S = 1.0, 0.1
"""How often an answer is looked for while word of it would be heard, and while not."""

_REFUSALS: dict[str, type[ClusterError]] = {
    error.code: error
    for error in (
        InvalidInput,
        InvalidMarkup,
        LanguageUnavailable,
        NothingToSpeak,
        UnknownLanguage,
        UnknownLexicon,
    )
}
"""What a planner may answer that a text is wrong with."""


class AskKind(StrEnum):
    """What can be asked."""

    PHONEMIZE = "phonemize"
    """`{text, language}`: how a text is said."""
    ESTIMATE = "estimate"
    """`{texts, language, voices, normalize, follow_voice, chapter_pause_s, lexicons}`: what
    planning some stretches of a text would come to. An older gateway sends the first two only."""


@dataclass(frozen=True)
class Ask:
    """A question, as a plan worker gets it."""

    id: str
    kind: AskKind
    body: dict[str, Any]


class Hearing(Protocol):
    """Gives word of what is published on `kc:ended`; the gateway's `Endings` does."""

    @property
    def heard(self) -> bool:
        """Whether word is being heard now."""
        ...

    def of(self, uid: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """Give an event that is set when there is word of `uid`."""
        ...


class Asks:
    """The gateway's end.

    Args:
        client: decodes replies.
        hearing: says when an answer is there.
    """

    def __init__(self, client: redis.asyncio.Redis, hearing: Hearing) -> None:
        self._client = client
        self._hearing = hearing
        self._put = client.register_script(script("put_ask"))

    async def ask(
        self, kind: str, body: dict[str, Any], timeout_s: float, *, owner: str = ""
    ) -> dict[str, Any]:
        """Return a plan worker's answer; what each kind gets and gives is in `worker.answering`.

        Args:
            kind: one of `AskKind`.
            body: JSON.
            timeout_s: for which the answer is waited.
            owner: on whose behalf; one owner has `OWN_MOST` questions waiting at a time.

        Raises:
            PlannersBusy: too many questions wait already.
            PlannersSilent: there was no answer in time.
            InvalidInput, LanguageUnavailable: the planner says that the text is wrong.
            RedisError: Redis is away.
        """
        question = json.dumps({"kind": AskKind(kind), "body": body}, ensure_ascii=False)
        if len(question) > BODY_MOST_CHARS:
            raise InvalidInput("The text is too long to be asked about.", param="input")
        ask_id = f"ask_{secrets.token_hex(12)}"
        ttl_ms = max(1, int(timeout_s * 1000))
        give_up_at = time.monotonic() + timeout_s
        async with self._hearing.of(ask_id) as told:
            args: list[str | int] = [ask_id, owner, question, ttl_ms, WAITING_MOST, OWN_MOST]
            if not await self._put(args=args):
                raise PlannersBusy()
            while (left_s := give_up_at - time.monotonic()) > 0:
                look_s = LOOK_EVERY_S if self._hearing.heard else LOOK_UNHEARD_S
                # Not wait_for: before Python 3.12 it may take a cancellation for the answer's word.
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(look_s, left_s)):
                        await told.wait()
                answer = await self._client.getdel(f"kc:answer:{ask_id}")
                if answer is not None:
                    return _read(str(answer))
        await self._client.delete(f"kc:ask:{ask_id}")
        await self._client.hincrbyfloat("kc:totals", "asks_unanswered", 1)
        raise PlannersSilent()


def _read(answer: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer)
    problem = found.get("error")
    if problem is None:
        return found
    kind = _REFUSALS.get(problem["code"])
    if kind is None:
        raise PlannersSilent(problem["message"])
    raise kind(problem["message"], param=problem["param"])


class Answers:
    """The plan worker's end. Raises redis-py's `RedisError` when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._take = client.register_script(script("take_ask"))
        self._answer = client.register_script(script("answer_ask"))

    def take(self) -> Ask | None:
        """Return the question that waits longest; it is given to nobody else."""
        row = self._take()
        if not row:
            return None
        question = json.loads(row[1])
        return Ask(text(row[0]), AskKind(question["kind"]), question["body"])

    def give(self, ask: Ask, answer: dict[str, Any]) -> None:
        """Answer a question."""
        self._give(ask, answer, refused=False)

    def refuse(self, ask: Ask, error: ClusterError) -> None:
        """Say why a question has no answer."""
        problem = {"code": error.code, "message": error.message, "param": error.param}
        self._give(ask, {"error": problem}, refused=True)

    def _give(self, ask: Ask, answer: dict[str, Any], *, refused: bool) -> None:
        self._answer(args=[ask.id, json.dumps(answer), ANSWER_KEPT_MS, int(refused)])
