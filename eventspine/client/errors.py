"""What can go wrong between a client and a server, beside what the server itself says.

Everything a server answers with a problem document becomes the class of contracts.errors with
that `code` (problem.py); these three are for answers that never came or cannot be believed.
"""

from __future__ import annotations

from eventspine.contracts.errors import BackendError


class ServerUnreachable(BackendError):
    """Fields: `url`, `waited_s`, `attempts`, `was_sent`. What was sent may be stored or not."""

    code = "server_unreachable"
    title = "The server does not answer"
    remedy = "Check the address and that `eventspine serve` runs; then send the same events again."
    outcome = "unknown"


class BadAnswer(BackendError):
    """Fields: `url`, `status`. Something other than an eventspine server answered."""

    code = "bad_answer"
    title = "The answer is not one of an eventspine server"
    remedy = "Check the address; a proxy in between may have answered instead."
    outcome = "unknown"


class StreamHole(BackendError):
    """Fields: `stream_id`, `expected`, `received`. A reader was shown a sequence out of turn."""

    code = "stream_hole"
    title = "Events are missing from the stream as it was delivered"
    remedy = "Report this: a stream is dense. Reading again from `expected` is safe."
