#!/bin/sh
# Every check, each with its time, then every test, the torture in its short edition. A failed
# check does not stop the rest: one run tells all there is to tell.
set -u
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
export PATH

summary=
failed=
step() {
    name=$1
    shift
    started=$(date +%s)
    if "$@"; then word=ok; else word=FAILED failed="$failed $name"; fi
    summary="$summary$(printf '%-10s %-7s %4s s' "$name" "$word" "$(($(date +%s) - started))")
"
}

step format ruff format --check --quiet --output-format concise .
step lint ruff check --quiet --output-format concise .
step types mypy --no-error-summary
step layers lint-imports --no-logo
step spelling codespell
step packages deptry --no-ansi .
printf '\n%s\n' "$summary"

if [ $# -gt 0 ]; then
    pytest "$@" || failed="$failed tests"
else # what computes keeps one processor busy, and the rest mostly waits: side by side
    log=$(mktemp)
    set -- tests/simulation
    for room in actors adapters conformance contracts native runtime services stores switching tenancy; do
        set -- "$@" "tests/$room"
    done
    pytest -p no:cacheprovider -m "not alone" "$@" >"$log" 2>&1 &
    computing=$!
    for room; do
        set -- "$@" "--ignore=$room"
        shift
    done
    pytest -m "not alone" "$@" || failed="$failed tests"
    wait "$computing" || failed="$failed computing"
    pytest -m alone || failed="$failed alone"
    printf '\nwhat computes, which ran beside the others:\n'
    cat "$log"
    rm -f "$log"
fi
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
