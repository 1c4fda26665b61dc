#!/bin/sh
# Installs Debian's Chromium for the tests of the page, where it is missing and that can be done:
# as root, on a system with apt. Elsewhere the tests say themselves why they are skipped.
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium: the page's tests will be skipped. Install it with your system's packages."
    exit 0
fi
echo "Installing Chromium for the tests of the page (a minute, once) …"
export DEBIAN_FRONTEND=noninteractive
options="-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086  # several options
timeout 300 apt-get $options update >/dev/null || echo "apt-get update failed; trying without"
# shellcheck disable=SC2086
timeout 600 apt-get $options install -y --no-install-recommends chromium >/dev/null ||
    echo "Chromium could not be installed: the page's tests will be skipped."
exit 0
