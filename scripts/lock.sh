#!/bin/sh
# Pins runtime (with every extra: what `make serve` serves), test, lint, bench and
# build in requirements/*.txt, with hashes and without the address of any package
# index. Takes only what has been public for a week; later groups keep the pins of
# earlier ones, so that all of them fit into one environment.
set -eu
cd "$(dirname "$0")/.."

uv=${UV:-.venv/bin/uv}
before=${EXCLUDE_NEWER:-$(date -u -d '7 days ago' +%Y-%m-%dT00:00:00Z)}

pin() {
    output=requirements/$1.txt
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links \
        --exclude-newer "$before" --custom-compile-command 'make lock' \
        "$@" --output-file "$output"
    echo "$output: $(grep -c '==' "$output") packages"
}

if [ "${UPGRADE:-}" ]; then set -- --upgrade; else set --; fi
pin runtime "$@" pyproject.toml --all-extras --group runtime
pin test "$@" --constraint requirements/runtime.txt --group test
pin lint "$@" --constraint requirements/runtime.txt --constraint requirements/test.txt --group lint
pin bench "$@" --constraint requirements/test.txt --group bench
pin build "$@" --constraint requirements/lint.txt --group build
