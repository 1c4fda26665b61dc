"""Sends calls, again where that may help, and turns what is refused into errors."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

import httpx

from client.calls import Call, api_error
from client.connection import Address
from client.errors import ApiError, KokoroClusterError
from client.retrying import Again, Retry

T = TypeVar("T")


class Sender:
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
        http: httpx.Client | None,
    ) -> None:
        self.retry = retry
        self._address = address
        self._on_retry = on_retry
        self._owned = http is None
        self._http = http or httpx.Client(**address.options())

    def close(self) -> None:
        """Give the connections back, unless they are the caller's."""
        if self._owned:
            self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a call and read its answer.

        Raises:
            ApiError: the server refused it.
            Unreachable: no answer came, however often it was tried.
        """
        tried = 0
        while True:
            tried += 1
            try:
                with self.once(call.method, call.path, **call.request()) as response:
                    response.read()
                    return call.read(response)
            except ApiError as error:
                if tried > 1 and error.code in call.after_loss:
                    instead = call.after_loss[error.code]
                    return self.send(instead) if instead else cast(T, None)
                self.pause(tried, error)
            except KokoroClusterError as error:
                self.pause(tried, error)

    def pause(self, tried: int, error: KokoroClusterError) -> None:
        """Wait before the next try, or raise the error when there is to be none."""
        wait_s = self.retry.wait_s(tried, error)
        if wait_s is None:
            raise error
        if self._on_retry is not None:
            self._on_retry(Again(error, tried, wait_s))
        time.sleep(wait_s)

    @contextmanager
    def once(
        self, method: str, path: str, *, follow: bool = False, **options: Any
    ) -> Iterator[httpx.Response]:
        """Send a request once and give its answer, the body still to be read.

        With `follow` it goes where the answer redirects to; the key is not sent to another host.

        Raises:
            ApiError: it was refused.
            Unreachable: the connection failed, here or in the block.
        """
        try:
            request = self._http.build_request(method, path, **options)
            response = self._http.send(request, stream=True, follow_redirects=follow)
            try:
                if response.is_error:
                    response.read()
                    raise api_error(response)
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise self._address.error(error) from error

    @contextmanager
    def begun(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """Send as `once`, again until an answer begins."""
        tried = 0
        with ExitStack() as stack:
            while True:
                tried += 1
                try:
                    response = stack.enter_context(self.once(method, path, **options))
                    break
                except KokoroClusterError as error:
                    self.pause(tried, error)
            yield response
