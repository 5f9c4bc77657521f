#!/bin/sh
# Installs what packages/debian.txt names and this machine lacks. Does nothing,
# and asks apt nothing, where all of it is there. Names on the command line
# stand in for the file.
set -eu
cd "$(dirname "$0")/.."

wanted() {
    if [ "$#" -gt 0 ]; then printf '%s\n' "$@"; else sed 's/#.*//' packages/debian.txt; fi
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing() {
    wanted "$@" | while IFS=': ' read -r package command; do
        [ -n "$package" ] || continue
        if [ -n "$command" ] && command -v "$command" >/dev/null; then continue; fi
        installed "$package" || printf '%s ' "$package"
    done
}

if ! command -v dpkg-query >/dev/null; then
    echo "set-up: not a Debian system; see to these yourself:" $(wanted "$@")
    exit 0
fi
packages=$(missing "$@")
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "set-up: not root, so these Debian packages stay missing: $packages" >&2
    echo "set-up: to have them: sudo apt-get install $packages" >&2
    exit 0
fi

echo "set-up: installing $packages"
export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086  # a list of names
    apt-get install -y -qq --no-install-recommends $packages </dev/null >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install && exit 0
# The lists are missing or old.
apt-get update -qq
install || { cat "$log" >&2; exit 1; }
