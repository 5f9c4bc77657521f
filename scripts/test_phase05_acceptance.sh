#!/bin/sh
# The six acceptance steps with curl against a running server: routes of the four kinds; a timeline;
# an object; a budget policy; a metric; the tree of files below the root.
#
# usage: test_phase05_acceptance.sh [ROOT PORT]   (starts a server of its own on a new root without)
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

root=${1:-}
port=${2:-}
server=
work=$(mktemp -d)
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

if [ -z "$root" ]; then
    root=$work/var
    port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    eventspine init --root "$root" >/dev/null
    eventspine serve --root "$root" --port "$port" >"$work/log" 2>&1 &
    server=$!
fi
base=http://127.0.0.1:$port
tries=0
until curl -sf "$base/readyz" >/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 150 ] || { echo "no server at $base" >&2; cat "$work/log" >&2; exit 1; }
    sleep 0.1
done

step() { printf '%s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
# expect WHAT TEXT: the answer of the last call holds TEXT
expect() {
    case $answer in
    *"$2"*) printf '  ok  %s\n' "$1" ;;
    *) fail "$1: $answer" ;;
    esac
}
call() { answer=$(curl -sS -H 'X-Tenant-Id: t_demo' -H 'X-Env: dev' -H 'X-Mode: lab' "$@"); }
as_system() { answer=$(curl -sS -H 'X-Tenant-Id: t_system' -H 'X-Env: dev' -H 'X-Mode: lab' "$@"); }

step '1. routes of the four kinds, on the filesystem'
for tenant in t_demo t_system; do
    for kind in event_stream object_store tabular_store metrics_store; do
        call -X PUT --json '{"backend_type":"filesystem"}' "$base/v1/routes/$kind/$tenant/dev/default/lab"
        expect "$kind of $tenant" '"backend_type":"filesystem"'
    done
done

step '2. timeline: append, list after, on the disk'
call --json '{"event_type":"chat.message","payload":{"text":"one"}}' "$base/timeline/thread_123/append"
expect 'the first event' '"sequence":1'
cursor=$(printf '%s' "$answer" | sed 's/.*"cursor":"\([0-9_]*\)".*/\1/')
call --json '{"event_type":"chat.message","payload":{"text":"two"}}' "$base/timeline/thread_123/append"
expect 'the second event' '"sequence":2'
call "$base/timeline/thread_123/events?after=$cursor"
expect 'what comes after the first' '"text":"two"'
case $answer in *'"text":"one"'*) fail 'the first event is not after itself' ;; esac

step '3. object: put, get, on the disk'
head -c 100000 /dev/urandom >"$work/blob"
call -X PUT -H 'Content-Type: application/pdf' --data-binary "@$work/blob" \
    -H 'X-Surface-Id: SQUARED²' "$base/v1/objects/media_xyz.pdf"
expect 'stored' 'media_xyz.pdf'
call -o "$work/back" -H 'X-Surface-Id: squared' "$base/v1/objects/media_xyz.pdf"
cmp "$work/blob" "$work/back" || fail 'the object comes back as another'
printf '  ok  %s\n' 'the same bytes come back'

step '4. budget policy: upsert, read'
call -X PUT --json '{"limit": 5000, "unit": "usd"}' "$base/v1/budget/policies/p_acme"
expect 'stored' '"limit": 5000'
call "$base/v1/budget/policies/p_acme"
expect 'read' '5000'

step '5. metric: ingest, query'
call --json '{"value": 12.5, "tags": {"plan": "pro"}, "source": "billing"}' \
    -H 'X-Surface-Id: squared2' "$base/v1/metrics/revenue"
call -H 'X-Surface-Id: SQUARED' "$base/v1/metrics/revenue"
expect 'read' '12.5'

step '6. the tree of files'
there() {
    tries=0
    until [ -s "$root/$1" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "no $1 below $root"
        sleep 0.1
    done
    printf '  ok  %s\n' "$1"
}
there event_stream/t_demo/dev/_/thread_123/events.jsonl
there object_store/t_demo/dev/squared2/blobs/media_xyz%2epdf
there tabular_store/t_system/dev/_/policies.jsonl
there metrics_store/t_demo/dev/squared2/raw.jsonl
[ "$(wc -l <"$root/event_stream/t_demo/dev/_/thread_123/events.jsonl")" -eq 2 ] || fail 'two events'

echo 'all six steps passed'
