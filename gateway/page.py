"""The page at `/` and the API's viewer at `/docs`: files that ship with the gateway.

In: nothing but a name. Out: bytes held in memory since the start, with an `ETag`. Both pages load
nothing from anywhere else, and a strict Content-Security-Policy has browsers hold to that.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import NotFound
from gateway.ranges import not_modified

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

SECURITY = {
    # No script and no style within a page: a text that got into the markup could do nothing.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css")
"""Of the package fastapi-swagger, which carries Swagger UI (Apache-2.0) as released."""


@dataclass(frozen=True)
class Asset:
    """A file as it is sent.

    Attributes:
        whole: its bytes.
        packed: the same, gzipped.
        etag: of its bytes, without quotes.
    """

    whole: bytes
    packed: bytes
    media_type: str
    etag: str

    def answer(self, request: Request) -> Response:
        """Return the file, or that the client's copy is it."""
        gzipped = "gzip" in request.headers.get("accept-encoding", "")
        headers = {
            **SECURITY,
            # Asked about each time, so that after an upgrade no old script meets a new page.
            "Cache-Control": "no-cache",
            # Weak: the two codings of a file are the same file.
            "ETag": f'W/"{self.etag}"',
            "Vary": "Accept-Encoding",
        }
        if not_modified(request.headers, f'"{self.etag}"'):
            return Response(status_code=304, headers=headers)
        headers["Content-Type"] = self.media_type
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if gzipped else self.whole, headers=headers)


def page_routes() -> list[Route]:
    """Read the files and return the routes that serve them: `/`, `/docs`, `/static/{name}`."""
    assets = dict(_assets())

    async def static(request: Request) -> Response:
        asset = assets.get(request.path_params["name"])
        if asset is None:
            raise NotFound()
        return asset.answer(request)

    async def page(request: Request) -> Response:
        return assets["index.html"].answer(request)

    async def docs(request: Request) -> Response:
        return assets["docs.html"].answer(request)

    return [
        Route("/", page, include_in_schema=False),
        Route("/docs", docs, include_in_schema=False),
        Route("/static/{name}", static, include_in_schema=False),
    ]


def _assets() -> Iterator[tuple[str, Asset]]:
    for file in (resources.files("gateway") / "static").iterdir():
        if file.name.rpartition(".")[2] in MEDIA_TYPES:
            yield file.name, _asset(file)
    swagger_ui = resources.files("fastapi_swagger") / "resources"
    for name in SWAGGER_UI:
        yield name, _asset(swagger_ui / name)


def _asset(file: Traversable) -> Asset:
    whole = file.read_bytes()
    return Asset(
        whole=whole,
        packed=gzip.compress(whole, mtime=0),
        media_type=MEDIA_TYPES[file.name.rpartition(".")[2]],
        etag=hashlib.sha256(whole).hexdigest()[:32],
    )
