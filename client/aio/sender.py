"""Sends calls as `client.sync.sender` does, awaited."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, cast

import anyio
import httpx

from client.calls import Call, api_error
from client.connection import Address
from client.errors import ApiError, KokoroClusterError
from client.retrying import Again, Retry

T = TypeVar("T")


class AsyncSender:
    """One address, one key, one pool of connections.

    Args:
        address: of the cluster.
        retry: how patient to be.
        on_retry: told of each call that will be tried again.
        http: to send with; the sender's own unless given.
    """

    def __init__(
        self,
        address: Address,
        retry: Retry,
        on_retry: Callable[[Again], None] | None,
        http: httpx.AsyncClient | None,
    ) -> None:
        self.retry = retry
        self._address = address
        self._on_retry = on_retry
        self._owned = http is None
        self._http = http or httpx.AsyncClient(**address.options())

    async def close(self) -> None:
        """Give the connections back, unless they are the caller's."""
        if self._owned:
            await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call and read its answer.

        Raises:
            ApiError: the server refused it.
            Unreachable: no answer came, however often it was tried.
        """
        tried = 0
        while True:
            tried += 1
            try:
                async with self.once(call.method, call.path, **call.request()) as response:
                    await response.aread()
                    return call.read(response)
            except ApiError as error:
                if tried > 1 and error.code in call.after_loss:
                    instead = call.after_loss[error.code]
                    return await self.send(instead) if instead else cast(T, None)
                await self.pause(tried, error)
            except KokoroClusterError as error:
                await self.pause(tried, error)

    async def pause(self, tried: int, error: KokoroClusterError) -> None:
        """Wait before the next try, or raise the error when there is to be none."""
        wait_s = self.retry.wait_s(tried, error)
        if wait_s is None:
            raise error
        if self._on_retry is not None:
            self._on_retry(Again(error, tried, wait_s))
        await anyio.sleep(wait_s)

    @asynccontextmanager
    async def once(
        self, method: str, path: str, *, follow: bool = False, **options: Any
    ) -> AsyncIterator[httpx.Response]:
        """Send a request once and give its answer, the body still to be read.

        With `follow` it goes where the answer redirects to; the key is not sent to another host.

        Raises:
            ApiError: it was refused.
            Unreachable: the connection failed, here or in the block.
        """
        try:
            request = self._http.build_request(method, path, **options)
            response = await self._http.send(request, stream=True, follow_redirects=follow)
            try:
                if response.is_error:
                    await response.aread()
                    raise api_error(response)
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self._address.error(error) from error

    @asynccontextmanager
    async def begun(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        """Send as `once`, again until an answer begins."""
        tried = 0
        async with AsyncExitStack() as stack:
            while True:
                tried += 1
                try:
                    response = await stack.enter_async_context(self.once(method, path, **options))
                    break
                except KokoroClusterError as error:
                    await self.pause(tried, error)
            yield response
