"""Hand tasks to a Jobyard and get their results.

Standard library only. Generated from the yard's OpenAPI description; the part
above the types is written by hand.

    yard = Jobyard("http://localhost:8080", key="jy_…")
    found = yard.do("search", {"query": "camera permission"})
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Iterator, Literal, TypedDict, Union

FINAL = ("completed", "archived", "canceled")


class Problem(Exception):
    """A refusal of the API (RFC 9457)."""

    def __init__(self, status: int, model: dict, retry_after: float | None = None):
        fields = model.get("errors") or []
        text = f"{status} {model.get('detail', '')}"
        if fields:
            text += f": {fields[0].get('location')}: {fields[0].get('message')}"
        super().__init__(text)
        self.status = status
        self.detail = model.get("detail", "")
        self.fields = fields
        self.request_id = model.get("request_id")
        self.retry_after = retry_after


class TaskError(Exception):
    """A task that ended without a result."""

    def __init__(self, task: dict):
        error = task.get("error") or {}
        super().__init__(f"{error.get('reason', task.get('state'))}: {error.get('message', 'the task has no result')}")
        self.task = task


MAX_FRUITLESS = 5  # how often in a row a stream may break off and bring nothing


def _passing(e: Exception) -> bool:
    """Tells of failures that may pass: of the network, or of a yard that is full or away."""
    return not isinstance(e, Problem) or e.status in (429, 503)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):  # a key must not travel on
        return None


class Base:
    """url: the API's address. key: its key, if it asks for one. patience: seconds
    to go on for while it is full or away. timeout: seconds for one answer, and
    for silence in a stream."""

    def __init__(self, url: str, key: str | None = None, patience: float = 0, timeout: float = 90, context=None):
        self._url, self._key, self._patience, self._timeout = url.rstrip("/"), key, patience, timeout
        handlers: list = [_NoRedirect()]
        if context is not None:  # an ssl.SSLContext
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def _ask(self, method: str, path: str, query=None, headers=None, body=None):
        query = {k: v for k, v in (query or {}).items() if v is not None}
        headers = {k: v for k, v in (headers or {}).items() if v is not None}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None
        if isinstance(body, bytes):
            data = body
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        address = self._url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(address, data=data, headers=headers, method=method)
        try:
            return self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as e:
            if e.code == 304:
                return e
            with e:
                try:
                    model = json.load(e)
                except ValueError:
                    model = {}
            after = e.headers.get("Retry-After", "")
            raise Problem(e.code, model, float(after) if after.isdigit() else None) from None

    def _send(self, method: str, path: str, **options) -> Any:
        """Every request can be repeated: what is handed over has an id before it is sent."""
        raw = self._bytes(method, path, **options)
        return json.loads(raw) if raw else None

    def _bytes(self, method: str, path: str, **options) -> bytes:
        body = options.get("body")
        if body and not isinstance(body, bytes) and not body.get("id") and not (body.get("options") or {}).get("id"):
            headers = options["headers"] = dict(options.get("headers") or {})
            headers["Idempotency-Key"] = headers.get("Idempotency-Key") or str(uuid.uuid4())
        until, wait = time.monotonic() + self._patience, 0.1
        while True:
            try:
                with self._ask(method, path, **options) as answer:
                    return answer.read() if answer.status != 304 else b""
            except (Problem, OSError, http.client.HTTPException) as e:
                if not _passing(e):
                    raise
                after = max(wait, getattr(e, "retry_after", None) or 0)
                if time.monotonic() + after > until:
                    raise
            time.sleep(after)
            wait = min(2 * wait, 5)

    def _lines(self, method: str, path: str, query=None, **options) -> Iterator[Any]:
        following, fruitless = int((query or {}).get("from") or 0), 0
        while True:
            start, broken = following, None
            try:
                with self._ask(method, path, query={**(query or {}), "from": following}, **options) as answer:
                    for line in answer:
                        if not line.strip():
                            continue
                        value = json.loads(line)
                        if isinstance(value.get("next"), int):
                            broken = OSError("the stream of results ends again and again")
                            break
                        following += 1
                        yield value
            except (Problem, OSError, http.client.HTTPException) as e:
                if not _passing(e):
                    raise
                broken = e
            if broken is None:
                # http.client takes a connection that is cut between two chunks for the end.
                if following >= self._send("GET", path.removesuffix("/results"))["total"]:
                    return
                broken = OSError("the stream of results broke off")
            fruitless = 0 if following > start else fruitless + 1
            if fruitless == MAX_FRUITLESS:
                raise broken
            time.sleep(max(1, getattr(broken, "retry_after", None) or 0))

    def _events(self, method: str, path: str, headers=None, **options) -> Iterator[Any]:
        """A task at each of its changes; where the stream ends before the task, it is asked for again."""
        last, fruitless = (headers or {}).get("Last-Event-ID"), 0
        while True:
            try:
                with self._ask(method, path, headers={**(headers or {}), "Last-Event-ID": last}, **options) as answer:
                    if answer.status == 204:
                        return
                    for line in answer:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name == "id":
                            last = value
                        if name == "data":
                            fruitless = 0
                            task = json.loads(value)
                            yield task
                            if task["state"] in FINAL:
                                return
            except (Problem, OSError, http.client.HTTPException) as e:
                fruitless += 1
                if not _passing(e) or fruitless == MAX_FRUITLESS:
                    raise
            time.sleep(2)

    def wait(self, id: str, timeout: float | None = None) -> Task:
        """The task once it is final; TimeoutError if that takes over timeout seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 30.0 if until is None else min(30.0, until - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"the task {id} is not done and goes on")
            started = time.monotonic()
            task = self.get_task(id, wait=f"{max(1, int(left * 1000))}ms")
            if task["state"] in FINAL:
                return task
            if time.monotonic() - started < left / 2:
                time.sleep(min(1, left))

    def do(self, kind: str, payload: Any, options: Options | None = None, timeout: float | None = None) -> Any:
        """Hands a task over and gives its result; a task that failed raises TaskError."""
        options = dict(options or {})
        options.setdefault("id", str(uuid.uuid4()))
        self.post_task({"kind": kind, "payload": payload, "options": options})
        task = self.wait(options["id"], timeout)
        if task["state"] != "completed":
            raise TaskError(task)
        return task.get("result")
