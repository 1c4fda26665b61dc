#!/bin/sh
# Puts Debian's Redis beside the tests' Python, for the tests over TLS: the server that comes as a wheel
# was built without it. It is taken out of its packages, which are not installed: no service, no user,
# and all other tests keep the server they had.
# Where that can't be done the tests say themselves why they are skipped.
root=$(cd "$(dirname "$0")/../../.." && pwd)
target="$root/.venv/redis-with-tls"
if [ -x "$target/redis-server" ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "No Redis with TLS: its tests will be skipped where the machine's own has none."
    exit 0
fi
echo "Fetching a Redis with TLS for its tests (once) …"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 0
packages="redis-tools libjemalloc2 liblzf1"
options="-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120 -o APT::Sandbox::User=root"
# shellcheck disable=SC2086  # several options
if ! timeout 300 apt-get $options download $packages >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] && timeout 300 apt-get $options update >/dev/null
    # shellcheck disable=SC2086
    timeout 300 apt-get $options download $packages >/dev/null
fi
for package in *.deb; do dpkg-deb -x "$package" . || exit 0; done
# One program with several names: which it is, it tells from its own.
if cp usr/bin/redis-check-rdb "$folder/program" && mkdir -p "$target.part" && find usr/lib -name '*.so*' -exec cp {} "$target.part" \;; then
    mv "$folder/program" "$target.part/redis-server-program"
    # shellcheck disable=SC2016  # for the script, not for this one
    printf '#!/bin/sh\nhere=$(dirname "$0")\nLD_LIBRARY_PATH="$here" exec "$here/redis-server-program" "$@"\n' >"$target.part/redis-server"
    chmod 0755 "$target.part/redis-server"
    "$target.part/redis-server" --version >/dev/null 2>&1 && mv "$target.part" "$target"
    rm -rf "$target.part"
fi
[ -x "$target/redis-server" ] || echo "A Redis with TLS could not be fetched: its tests will be skipped."
exit 0
