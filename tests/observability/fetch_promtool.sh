#!/bin/sh
# Puts Debian's promtool beside the tests' Python, for the tests of metrics, alert rules and the dashboard.
# It is taken out of the package `prometheus`, which is not installed: no service, no user, no file elsewhere.
# Where that can't be done the tests say themselves why they are skipped.
root=$(cd "$(dirname "$0")/../.." && pwd)
target="$root/.venv/bin/promtool"
if command -v promtool >/dev/null 2>&1 || [ -x "$target" ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "No promtool: the tests of alert rules will be skipped. Install it with your system's packages."
    exit 0
fi
echo "Fetching promtool for the tests of alert rules (once) …"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 0
options="-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120 -o APT::Sandbox::User=root"
# shellcheck disable=SC2086  # several options
if ! timeout 300 apt-get $options download prometheus >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] && timeout 300 apt-get $options update >/dev/null
    # shellcheck disable=SC2086
    timeout 300 apt-get $options download prometheus >/dev/null
fi
if dpkg-deb -x prometheus_*.deb . && mkdir -p "$(dirname "$target")"; then
    cp usr/bin/promtool "$target.part" && mv "$target.part" "$target"
fi
[ -x "$target" ] || echo "promtool could not be fetched: the tests of alert rules will be skipped."
exit 0
