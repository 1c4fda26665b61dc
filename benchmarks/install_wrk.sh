#!/bin/sh
# Installs Debian's wrk for `make bench-gateway`, where it is missing and that can be done: as root,
# on a system with apt. Elsewhere the project's own generator takes its place, which is slower.
if command -v wrk >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "No wrk: a slower generator takes its place. Install it with your system's packages."
    exit 0
fi
echo "Installing wrk, which generates the load (once) …"
export DEBIAN_FRONTEND=noninteractive
options="-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086  # several options
timeout 300 apt-get $options update >/dev/null || echo "apt-get update failed; trying without"
# shellcheck disable=SC2086
timeout 300 apt-get $options install -y --no-install-recommends wrk >/dev/null ||
    echo "wrk could not be installed: a slower generator takes its place."
exit 0
