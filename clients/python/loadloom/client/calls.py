"""What the verbs of all families share: one call, and the pages of a list."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import grpc.aio

from loadloom.client.errors import ClientClosed, told


class Calls:
    """The calls of a client that waits, on a channel that it opens and closes."""

    timeout_s: float
    _closed: bool
    _channel: grpc.Channel

    def _pages(self, call: Callable[..., Any], request: Any) -> Iterator[Any]:  # noqa: ANN401
        """The answers to a request, page by page."""
        while True:
            page = self._call(call, request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def _call(
        self, call: Callable[..., Any], request: object, timeout_s: float | None = None
    ) -> Any:  # noqa: ANN401 -- the answer of whatever call it is
        if self._closed:
            raise ClientClosed.now()
        with told():
            return call(request, timeout=timeout_s or self.timeout_s)


class AsyncCalls:
    """The calls of a client that awaits, on a channel that it opens and closes."""

    timeout_s: float
    _closed: bool
    _channel: grpc.aio.Channel

    async def _pages(self, call: Callable[..., Any], request: Any) -> AsyncIterator[Any]:  # noqa: ANN401
        """The answers to a request, page by page."""
        while True:
            page = await self._call(call, request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def _call(
        self, call: Callable[..., Any], request: object, timeout_s: float | None = None
    ) -> Any:  # noqa: ANN401 -- the answer of whatever call it is
        if self._closed:
            raise ClientClosed.now()
        with told():
            return await call(request, timeout=timeout_s or self.timeout_s)
