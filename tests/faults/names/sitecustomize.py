"""Gives names under `.test` addresses of the fault suite's choice, in the process it is loaded by.

`FAULT_NAMES=a.test=127.0.0.1,b.test=127.0.0.2`. Python imports a module of this name at its start.
"""

import os
import socket
from typing import Any

_NAMES = dict(item.split("=") for item in os.environ.get("FAULT_NAMES", "").split(",") if item)
_getaddrinfo = socket.getaddrinfo


def _answer(host: Any, *arguments: Any, **options: Any) -> Any:
    return _getaddrinfo(_NAMES.get(host, host), *arguments, **options)


socket.getaddrinfo = _answer
