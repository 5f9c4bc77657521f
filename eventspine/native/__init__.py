"""The compiled twins of the hottest steps, in C; the Python ones stay and are the reference.

Job: make `ShortWay` of a stream host, where the module was compiled; `core` is None where not.
Rules: a twin does what the Python does to the same objects, or answers that it does not and has
changed nothing. Whatever is unusual is not its own. `native = false` in settings.toml keeps every
append on the Python side; tests run both and compare them.
Why: interpreted, the steps of a plain append cost 20 us beside a wait of 3 us, and every system
call of a thread hands the interpreter over (docs/PERFORMANCE.md, docs/decisions/0011).
Needs nothing: without a compiler at installation everything runs, slower.
"""

from __future__ import annotations

from typing import Any

core: Any
try:
    from eventspine.native import _core as core  # type: ignore[attr-defined, no-redef]
except ImportError:
    core = None
