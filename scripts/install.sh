#!/bin/sh
# install.sh GROUP...: installs the pinned groups into .venv, and eventspine
# itself as an editable package.
set -eu
cd "$(dirname "$0")/.."

for group in "$@"; do set -- "$@" -r "requirements/$group.txt"; shift; done
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

# The build tools are pinned like the rest and come first: with build isolation
# pip would fetch some of its own choice for whatever comes as source.
pip install --require-hashes -r requirements/build.txt
pip install --require-hashes --no-build-isolation --use-pep517 "$@"
pip install --no-deps --no-build-isolation --editable .
