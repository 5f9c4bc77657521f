#!/bin/sh
# Installs what the benchmarks compare with and load with; `python -m bench`
# says so and skips what is missing. No service is started: the benchmarks start
# their own, on free ports of the loopback.
set -eu
cd "$(dirname "$0")/.."

# Debian starts servers when their packages are installed; not here.
policy=/usr/sbin/policy-rc.d
if [ "$(id -u)" -eq 0 ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
sh scripts/setup-debian.sh redis-server redis-tools nginx-light libnginx-mod-nchan wrk \
    nats-server postgresql "gcc: cc" libc6-dev "nodejs: node" "npm: npm"

if [ -x .venv/bin/python ]; then
    pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }
    pip install --require-hashes -r requirements/bench.txt ||
        echo "set-up: no faiss and no sqlite-vec to compare with" >&2
fi

cd bench/peers/durable-streams
if [ package-lock.json -ot node_modules/.stamp ]; then exit 0; fi
if command -v npm >/dev/null; then
    npm ci --silent --no-audit --no-fund && touch node_modules/.stamp
else
    echo "set-up: no npm, so no Durable Streams server to compare with" >&2
fi
