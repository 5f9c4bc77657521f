#!/bin/sh
# serve.sh ROOT PORT: the first run makes the root and its lab routes.
set -eu
cd "$(dirname "$0")/.."

.venv/bin/eventspine init --if-missing --root "$1"
exec .venv/bin/eventspine serve --root "$1" --port "$2"
