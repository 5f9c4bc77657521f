"""What every answer gets, whichever way its request went: headers, a count, its line in the log."""

from __future__ import annotations

import logging
import time
from collections import Counter

from eventspine.api.answer import Answer, Header
from eventspine.api.cors import Cors
from eventspine.api.fields import Fields
from eventspine.api.guard import CROSS_ORIGIN, SAME_ORIGIN, STANDARD_HEADERS
from eventspine.api.problem import internal_problem, problem
from eventspine.contracts.errors import EventspineError

log = logging.getLogger("eventspine.api")
access_log = logging.getLogger("eventspine.access")


class EveryAnswer:
    def __init__(self, cors: Cors, *, log_requests: bool = False) -> None:
        self.cors, self.logs_requests = cors, log_requests
        # (method, template, status) -> answers; read by metrics.py
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def headers(self, fields: Fields, request_id: str) -> list[Header]:
        """The headers that every answer to a request with these fields has."""
        headers = [*STANDARD_HEADERS, (b"x-request-id", request_id.encode())]
        origin = fields.get(b"origin")
        if origin is None:
            headers.append(SAME_ORIGIN)
        else:
            crossing = self.cors.allowed(origin) is not None
            headers.append(CROSS_ORIGIN if crossing else SAME_ORIGIN)
            headers += self.cors.headers(origin)
        return headers

    def refusal(self, error: BaseException, instance: str, request_id: str) -> Answer:
        """The problem document of an error; what is our fault is logged."""
        if not isinstance(error, EventspineError):
            log.error("unhandled error, request %s", request_id, exc_info=error)
            return internal_problem(instance, request_id)
        answer = problem(error, instance, request_id)
        if answer.status_code >= 500:
            log.warning("%s, request %s: %s", error.code, request_id, error.detail)
        return answer

    def count(
        self,
        method: str,
        template: str,
        status: int,
        instance: str,
        request_id: str,
        started_s: float,
    ) -> None:
        """Count an answer, and give it its line in the access log."""
        self.counts[method, template, status] += 1
        if self.logs_requests:
            members = {
                "method": method,
                "path": instance,
                "template": template,
                "status": status,
                "ms": round((time.perf_counter() - started_s) * 1000, 3),
                "request_id": request_id,
            }
            access_log.info("request", extra=members)
