"""From whatever was raised to the one body that errors have."""

import secrets
from typing import Any

import structlog
from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from redis.exceptions import OutOfMemoryError, RedisError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from gateway.errors import (
    LedgerUnavailable,
    NotFound,
    SystemFull,
    error_body,
    error_response,
    shown,
    status_of,
)
from shared import errors

log = structlog.get_logger()


def internal_error_response(error: Exception, **fields: Any) -> JSONResponse:
    """Log an unexpected error under an id, and return the answer that names the id only."""
    error_id = secrets.token_hex(6)
    log.error("internal error", action="request", error_id=error_id, exc_info=error, **fields)
    message = f"Something went wrong here, not with your request. It is logged as {error_id}."
    return JSONResponse(error_body(500, message, "internal", None), 500)


def invalid_fields(error: ValidationError | RequestValidationError) -> errors.InvalidInput:
    """Turn pydantic's account of a request into one error about its first bad field."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part not in {"query", "path", "header", "[key]"}]
    param = ".".join(path) or None
    match first["type"]:
        case "extra_forbidden":
            message = f"Unknown field {param!r}. The OpenAPI document lists the known ones."
        case "missing":
            message = f"The field {param!r} is missing."
        case "model_type" | "model_attributes_type":
            message = f"Send a JSON object{f' as {param!r}' if param else ''}."
        case "string_unicode":
            message = f"{param or 'A name'}: not valid Unicode; it has a lone surrogate."
        case _:
            message = f"{param or 'The request'}: {first['msg'].removeprefix('Value error, ')}."
    return errors.InvalidInput(message, param=param)


def install_error_handlers(app: FastAPI) -> None:
    """Make the application answer every error with the one body."""

    async def on_cluster_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.ClusterError)  # noqa: S101 - registered for these only
        if status_of(error) == 500:
            return internal_error_response(error)
        if status_of(error) == 503:
            log.warning("refused", action="request", code=error.code, reason=error.message)
        return error_response(error)

    async def on_redis_error(request: Request, error: Exception) -> Response:
        full = isinstance(error, OutOfMemoryError)
        log.warning("ledger failed", action="request", error=shown(str(error)), full=full)
        if full:
            return error_response(SystemFull("The ledger's memory is full; try again later."))
        return error_response(LedgerUnavailable())

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, ValidationError | RequestValidationError)  # noqa: S101
        return error_response(invalid_fields(error))

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
        if error.status_code == 404:
            return error_response(NotFound())
        headers = dict(error.headers or {})
        message = str(error.detail)
        if error.status_code == 405:
            # The first time this builds the OpenAPI document: no work for the event loop.
            methods = await to_thread.run_sync(_allowed_methods, app, request.url.path)
            if methods:  # the page's files are not in the document
                headers["Allow"] = ", ".join(methods)
            message = f"This address answers only to {headers['Allow']}."
        body = error_body(error.status_code, message, "method_not_allowed", None)
        return JSONResponse(body, error.status_code, headers)

    app.add_exception_handler(errors.ClusterError, on_cluster_error)
    app.add_exception_handler(RedisError, on_redis_error)
    app.add_exception_handler(ValidationError, on_invalid)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_error)


def _allowed_methods(app: FastAPI, path: str) -> list[str]:
    # Starlette names those of the first route that has the path; it can have several.
    methods: set[str] = set()
    for template, operations in app.openapi()["paths"].items():
        if compile_path(template)[0].match(path):
            methods |= {name.upper() for name in operations}
    return sorted(methods)
