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
else
    # Servers under torture and browsers have deadlines: no more of them at once than processors.
    # The rest waits a third of its time, so one worker more keeps all of them busy.
    crowd="torture or browser or root"
    pytest -n "$(nproc)" --dist worksteal -m "($crowd) and not alone" || failed="$failed torture"
    pytest -n "$(($(nproc) + 1))" --dist worksteal -m "not ($crowd or alone)" ||
        failed="$failed tests"
    pytest -m alone || failed="$failed alone"
fi
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
