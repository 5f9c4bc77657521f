#!/bin/sh
# Makes .venv with the first Python that is new enough: $PYTHON, python3, then
# python3.N, then the system's own. An environment that works is left alone.
set -eu
cd "$(dirname "$0")/.."

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

pick() {
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if new_enough "$python"; then echo "$python"; return; fi
    done
    echo "set-up: eventspine needs Python 3.11 or newer; name one with PYTHON=..." >&2
    return 1
}

if new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; then exit 0; fi
python=$(pick)
rm -rf .venv

# Debian ships python3 without ensurepip, in its own package.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "set-up: $python cannot make environments yet; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
    sh scripts/setup-debian.sh python3-venv
fi
echo "set-up: .venv with $("$python" --version)"
"$python" -m venv .venv
