#!/bin/sh
# The compiled module under AddressSanitizer and UndefinedBehaviorSanitizer: a copy of the tree with
# the module built so, and the tests that drive it. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
asan=$(cc -print-file-name=libasan.so)
if [ "$asan" = libasan.so ]; then
    echo "sanitize: this cc has no libasan.so; Debian's gcc has one" >&2
    exit 1
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM
cp -R eventspine tests pyproject.toml "$copy"
cd "$copy"
rm -f eventspine/native/*.so
set_of() { "$python" -c "import sysconfig; print(sysconfig.$1)"; }
# shellcheck disable=SC2046 # the flags are several words
cc -shared -fPIC -std=c11 -O1 -g -fwrapv -fvisibility=hidden -Wall -Wextra \
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
    -I"$(set_of 'get_paths()["include"]')" eventspine/native/*.c \
    -o "eventspine/native/_core$(set_of 'get_config_var("EXT_SUFFIX")')"

if [ $# -eq 0 ]; then
    set -- tests/native tests/api/test_append_lane.py tests/api/test_append_lane_random.py \
        tests/api/test_page_lane.py
fi
# Python itself leaks at its end, and its own allocator would hide what is out of bounds.
LD_PRELOAD=$asan ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
    EVENTSPINE_SANITIZED=1 "$python" -m pytest -q -p no:cacheprovider --timeout=600 "$@"
