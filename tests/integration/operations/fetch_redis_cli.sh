#!/bin/sh
# Puts Debian's redis-cli beside the tests' Python, for the tests that run docs/situations.md.
# It is taken out of packages that are not installed: no service, no user, no file elsewhere.
# Where that can't be done the tests say themselves why they are skipped.
root=$(cd "$(dirname "$0")/../../.." && pwd)
target="$root/.venv/bin/redis-cli"
if command -v redis-cli >/dev/null 2>&1 || [ -x "$target" ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "No redis-cli: tests of operations will be skipped. Install it with your system's packages."
    exit 0
fi
echo "Fetching redis-cli for the tests of operations (once) …"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 0
options="-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120 -o APT::Sandbox::User=root"
packages="redis-tools liblzf1 libjemalloc2"
# shellcheck disable=SC2086  # several options
if ! timeout 300 apt-get $options download $packages >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] && timeout 300 apt-get $options update >/dev/null
    # shellcheck disable=SC2086
    timeout 300 apt-get $options download $packages >/dev/null
fi
for package in *.deb; do
    [ -e "$package" ] && dpkg-deb -x "$package" .
done
if [ -x usr/bin/redis-cli ]; then
    libraries="$root/.venv/lib/redis-cli"
    mkdir -p "$libraries"
    cp usr/bin/redis-cli "$libraries/redis-cli"
    find usr/lib -name '*.so.*' -exec cp -L {} "$libraries" \;
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$libraries" "$libraries/redis-cli" >"$target.part"
    chmod 755 "$target.part"
    mv "$target.part" "$target"
fi
[ -x "$target" ] || echo "redis-cli could not be fetched: tests of operations will be skipped."
exit 0
