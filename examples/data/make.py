"""Writes the sample recordings beside it: a chat day and a canvas, made up by this script.

Run it again and the same bytes come out. Nothing here is taken from anybody's chat or text.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

HERE = Path(__file__).parent
NICKS = ("ada", "grace", "edsger", "barbara")
LINES = (
    "morning! is the build green?",
    "{other}: green since nine",
    "somebody cut the cable to rack four again",
    "{other}: the readers came back by themselves, I counted",
    "how many events did we lose?",
    "none. how many twice? also none",
    "{other}: caf\u00e9 at ten? \u2615",
    "the canvas on the big screen is still in step with mine",
    "I typed the whole minutes while offline",
    "{other}: and they arrived in order, I saw them come in",
    "what was the cursor again, the one after lunch",
    "{other}: you do not need to know, the browser sends it back by itself",
)
TEXT = """\
Minutes

1. Cables are not thrown away, they are labelled.
2. An event that was acknowledged is there tomorrow, too.
3. Who reads late reads the same. \u2713
4. The caf\u00e9 opens at ten \u2615, \U0001f680 at eleven.
"""


def chat(rng: random.Random) -> str:
    """Sixty lines of a day that never was."""
    out = ["=== ada [~ada@example.org]  has joined #spine"]
    minute = 9 * 60
    for n in range(57):
        nick, other = rng.sample(NICKS, 2)
        minute += rng.randrange(4)
        said = LINES[n % len(LINES)].format(other=other)
        out.append(f"[{minute // 60:02d}:{minute % 60:02d}] <{nick}> {said}")
    out.insert(20, "=== edsger is now known as edsger_away")
    out.insert(41, "* grace labels a cable")
    return "\n".join(out) + "\n"


def canvas(rng: random.Random) -> dict[str, object]:
    """Somebody types TEXT, mistypes, takes it back, and once moves up to fix a word."""
    text, transactions, second = "", [], 0

    def change(*patches: tuple[int, int, str]) -> None:
        nonlocal text, second
        for position, deleted, inserted in patches:
            text = text[:position] + inserted + text[position + deleted :]
        second += rng.randrange(3)
        time = f"2026-01-05T09:{second // 60:02d}:{second % 60:02d}.000Z"
        transactions.append({"time": time, "patches": [list(patch) for patch in patches]})

    for char in TEXT:
        if rng.random() < 0.06:
            change((len(text), 0, rng.choice("xqz")))
            change((len(text) - 1, 1, ""))
        change((len(text), 0, char))
    change((0, 7, "MINUTES"))
    change((0, 0, "* "), (len(text) + 2, 0, "-- ada\n"))  # two cursors at once
    return {"startContent": "", "endContent": text, "txns": transactions}


def main() -> None:
    rng = random.Random(1)
    for name in ("chat", "canvas"):
        (HERE / name).mkdir(exist_ok=True)
    (HERE / "chat" / "2026-01-05.txt").write_text(chat(rng), encoding="utf-8")
    trace = json.dumps(canvas(rng), ensure_ascii=False, separators=(",", ":")).encode()
    packed = gzip.compress(trace, mtime=0)
    (HERE / "canvas" / "minutes.json.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
