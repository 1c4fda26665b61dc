"""From a URL to a store."""

from datetime import timedelta
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from shared.errors import InvalidSettings
from shared.storage.folder import Folder
from shared.storage.outages import first_line
from shared.storage.store import Storage

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CONNECT_TIMEOUT_S = 3.0
REQUEST_TIMEOUT_S = 30.0
"""For one request with its body, which is at most one part of an upload."""
MAX_RETRIES = 3
RETRY_WINDOW_S = 15.0
"""No retry starts later than this, so an operation's request ends within this and one request."""


def open_storage(
    url: str,
    *,
    endpoint: str | None = None,
    public_endpoint: str | None = None,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    max_retries: int = MAX_RETRIES,
) -> Storage:
    """Open the store at `url`; the network is not touched until first use.

    Args:
        url: `file:///…`, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        endpoint: an S3 server other than Amazon's; plain http is allowed if it says so.
            Default: `AWS_ENDPOINT_URL_S3`, then `AWS_ENDPOINT_URL`.
        public_endpoint: the same server as clients reach it, for signed URLs; default: `endpoint`.
        connect_timeout_s: for each connection attempt.
        request_timeout_s: for each request, body included.
        max_retries: of requests the store did not answer, or answered with 5xx.

    Raises:
        InvalidSettings: the URL or the environment does not describe a store.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidSettings("The storage URL takes no user, query or fragment.")
    for address in filter(None, (endpoint, public_endpoint)):
        if parts.scheme != "s3" or not address.startswith(("http://", "https://")):
            raise InvalidSettings(
                f"A storage endpoint is an http(s):// address of an s3:// store, not {address!r}."
            )
    retry: RetryConfig = {
        "max_retries": max_retries,
        "retry_timeout": timedelta(seconds=RETRY_WINDOW_S),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=connect_timeout_s),
        "timeout": timedelta(seconds=request_timeout_s),
    }

    def s3(address: str | None) -> S3Store:
        if not address:
            return S3Store.from_url(url, client_options=client, retry_config=retry)
        plain: ClientConfig = {**client, "allow_http": address.startswith("http://")}
        return S3Store.from_url(url, endpoint=address, client_options=plain, retry_config=retry)

    try:
        match parts.scheme:
            case "file" if parts.path.startswith("/") and not parts.netloc:
                folder = Path(unquote(parts.path))
                store = LocalStore(folder, automatic_cleanup=True, mkdir=True)
                return Storage(store, folder=Folder.open(folder))
            case "s3" if parts.netloc:
                # obstore reads these as well, but allows plain http only where it is told to.
                endpoint = endpoint or environ.get("AWS_ENDPOINT_URL_S3")
                endpoint = endpoint or environ.get("AWS_ENDPOINT_URL")
                signer = s3(public_endpoint) if public_endpoint else None
                return Storage(s3(endpoint), signer=signer)
            case "gs" if parts.netloc:
                return Storage(GCSStore.from_url(url, client_options=client, retry_config=retry))
            case "az" if parts.netloc:
                return Storage(AzureStore.from_url(url, client_options=client, retry_config=retry))
    except (BaseError, OSError, ValueError) as error:
        raise InvalidSettings(
            f"Cannot open the storage URL {url!r}: {first_line(error)}"
        ) from error
    raise InvalidSettings(
        f"Cannot use the storage URL {url!r}: write file:///folder, s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix."
    )
