#!/bin/sh
# Puts Debian's promtool, prometheus and nginx beside the tests' Python: for the tests of metrics, alert rules and the
# dashboard, and for `make cluster` and `make day`.
# They are taken out of their packages, which are not installed: no service, no user, no file elsewhere.
# Where that can't be done the tests say themselves why they are skipped.
root=$(cd "$(dirname "$0")/../.." && pwd)
bin="$root/.venv/bin"
PATH="$PATH:/usr/sbin:/sbin"
missing=
for program in promtool prometheus nginx; do
    command -v "$program" >/dev/null 2>&1 || [ -x "$bin/$program" ] || missing="$missing $program"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "Not here:$missing. What needs it will be skipped; install it with your system's packages."
    exit 0
fi
echo "Fetching$missing (once) …"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 0
options="-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120 -o APT::Sandbox::User=root"

download() {
    # shellcheck disable=SC2086  # several options
    if ! timeout 300 apt-get $options download "$1" >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] && timeout 300 apt-get $options update >/dev/null
        # shellcheck disable=SC2086
        timeout 300 apt-get $options download "$1" >/dev/null
    fi
    dpkg-deb -x "$1"_*.deb .
}

case $missing in *prom*) download prometheus ;; esac
case $missing in *nginx*) download nginx ;; esac
for program in $missing; do
    for found in "usr/bin/$program" "usr/sbin/$program"; do
        [ -x "$found" ] && mkdir -p "$bin" && cp "$found" "$bin/$program.part" && mv "$bin/$program.part" "$bin/$program"
    done
    [ -x "$bin/$program" ] || echo "$program could not be fetched: what needs it will be skipped."
done
exit 0
