# Generated from the yard's OpenAPI description by go test ./clients -run Generated -update. Do not edit.
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


AuditOutputBody = TypedDict("AuditOutputBody", {
    "entries": "Union[list[Entry], None]",
}, total=False)

Batch = TypedDict("Batch", {
    "callback": "Request",
    "id": "str",
    "tasks": "list[Request]",
    "webhook": "str",
}, total=False)

BatchInfo = TypedDict("BatchInfo", {
    "callback": "str",
    "counts": "dict[str, int]",
    "created_at": "str",
    "finished_at": "str",
    "id": "str",
    "kinds": "Union[list[str], None]",
    "total": "int",
}, total=False)

BlobView = TypedDict("BlobView", {
    "bytes": "int",
    "sha256": "str",
}, total=False)

ConfigDiagnostic = TypedDict("ConfigDiagnostic", {
    "file": "str",
    "message": "str",
    "path": "str",
    "severity": "str",
}, total=False)

ConfigFile = TypedDict("ConfigFile", {
    "changed": "bool",
    "content": "str",
    "format": "str",
    "path": "str",
}, total=False)

ConfigGenPayload = TypedDict("ConfigGenPayload", {
    "check": "bool",
    "existing": "dict[str, str]",
    "format": "str",
    "parameters": "Any",
    "template": "str",
    "version": "str",
}, total=False)

ConfigGenResult = TypedDict("ConfigGenResult", {
    "diagnostics": "Union[list[ConfigDiagnostic], None]",
    "files": "Union[list[ConfigFile], None]",
    "resolved": "dict[str, str]",
    "valid": "bool",
}, total=False)

DeadCall = TypedDict("DeadCall", {
    "all": "bool",
    "before": "str",
    "dry_run": "bool",
    "group": "str",
    "kind": "str",
    "limit": "int",
    "queue": "str",
    "rate": "float",
    "reason": "str",
    "since": "str",
}, total=False)

DeadGroup = TypedDict("DeadGroup", {
    "count": "int",
    "example": "str",
    "fingerprint": "str",
    "first_at": "str",
    "kind": "str",
    "last_at": "str",
    "message": "str",
    "reason": "str",
}, total=False)

DeadGroups = TypedDict("DeadGroups", {
    "groups": "Union[list[DeadGroup], None]",
    "letters": "int",
    "partial": "bool",
}, total=False)

DeadLetter = TypedDict("DeadLetter", {
    "attempts": "int",
    "cached": "str",
    "crashes": "int",
    "enqueued_at": "str",
    "error": "Error",
    "fingerprint": "str",
    "finished_at": "str",
    "id": "str",
    "kind": "str",
    "node": "str",
    "options": "Options",
    "payload": "Any",
    "peak_memory_bytes": "int",
    "progress": "Progress",
    "queue": "str",
    "replayed": "Replayed",
    "result": "Any",
    "started_at": "str",
    "state": "str",
    "tasks": "int",
}, total=False)

DeadPage = TypedDict("DeadPage", {
    "letters": "Union[list[DeadLetter], None]",
    "next": "str",
    "total": "int",
}, total=False)

DeadSweep = TypedDict("DeadSweep", {
    "done": "int",
    "dry_run": "bool",
    "gone": "int",
    "groups": "Union[list[DeadGroup], None]",
    "matched": "int",
    "refused": "int",
    "started_at": "str",
    "stopped": "str",
}, total=False)

DeliveriesOutputBody = TypedDict("DeliveriesOutputBody", {
    "deliveries": "Union[list[Delivery], None]",
}, total=False)

Delivery = TypedDict("Delivery", {
    "attempts": "int",
    "body": "Any",
    "created_at": "str",
    "endpoint": "str",
    "error": "str",
    "given_up_at": "str",
    "id": "str",
    "next_at": "str",
    "object": "str",
    "status": "int",
    "traceparent": "str",
}, total=False)

DocumentChunk = TypedDict("DocumentChunk", {
    "id": "str",
    "section": "str",
    "text": "str",
    "tokens": "int",
}, total=False)

DocumentCode = TypedDict("DocumentCode", {
    "code": "str",
    "language": "str",
    "section": "str",
}, total=False)

DocumentLink = TypedDict("DocumentLink", {
    "href": "str",
    "text": "str",
}, total=False)

DocumentParsePayload = TypedDict("DocumentParsePayload", {
    "collection": "str",
    "content_type": "str",
    "filename": "str",
    "index": "bool",
    "source": "DocumentSource",
    "uri": "str",
}, total=False)

DocumentParseResult = TypedDict("DocumentParseResult", {
    "chunks": "Union[list[DocumentChunk], None]",
    "code": "Union[list[DocumentCode], None]",
    "content_type": "str",
    "language": "str",
    "links": "Union[list[DocumentLink], None]",
    "markdown": "str",
    "metadata": "dict[str, Any]",
    "sections": "Union[list[DocumentSection], None]",
    "sha256": "str",
    "tables": "Union[list[DocumentTable], None]",
    "text": "str",
    "title": "str",
    "token": "str",
    "warnings": "Union[list[DocumentWarning], None]",
    "words": "int",
}, total=False)

DocumentSection = TypedDict("DocumentSection", {
    "anchor": "str",
    "heading": "str",
    "id": "str",
    "level": "int",
    "text": "str",
}, total=False)

DocumentSource = TypedDict("DocumentSource", {
    "base64": "str",
    "blob": "str",
    "text": "str",
    "url": "str",
}, total=False)

DocumentTable = TypedDict("DocumentTable", {
    "header": "Union[list[str], None]",
    "rows": "Union[list[Union[list[str], None]], None]",
    "section": "str",
}, total=False)

DocumentWarning = TypedDict("DocumentWarning", {
    "code": "str",
    "detail": "str",
}, total=False)

Endpoint = TypedDict("Endpoint", {
    "created_at": "str",
    "name": "str",
    "salt": "str",
    "url": "str",
}, total=False)

EndpointsOutputBody = TypedDict("EndpointsOutputBody", {
    "endpoints": "Union[list[Endpoint], None]",
}, total=False)

Entry = TypedDict("Entry", {
    "action": "str",
    "at": "str",
    "class": "str",
    "count": "int",
    "key": "str",
    "kind": "str",
    "name": "str",
    "object": "str",
    "remote": "str",
    "request_id": "str",
    "status": "int",
}, total=False)

Error = TypedDict("Error", {
    "fields": "Union[list[FieldError], None]",
    "message": "str",
    "reason": "Literal['invalid', 'not_found', 'rejected', 'too_large', 'integrity', 'upstream', 'busy', 'timeout', 'cpu', 'oom', 'crash', 'panic', 'interrupted', 'canceled', 'expired', 'unknown']",
    "retryable": "bool",
}, total=False)

FieldError = TypedDict("FieldError", {
    "message": "str",
    "path": "str",
}, total=False)

HealthOutputBody = TypedDict("HealthOutputBody", {
    "status": "str",
}, total=False)

KindView = TypedDict("KindView", {
    "bulk_queue": "str",
    "kind": "str",
    "payload": "Any",
    "payload_schema": "str",
    "queue": "str",
    "result": "Any",
    "result_schema": "str",
}, total=False)

KindsOutputBody = TypedDict("KindsOutputBody", {
    "kinds": "Union[list[KindView], None]",
}, total=False)

Options = TypedDict("Options", {
    "at": "str",
    "id": "str",
    "in": "str",
    "max_retry": "int",
    "no_cache": "bool",
    "queue": "str",
    "retention": "str",
    "timeout": "str",
    "webhook": "str",
}, total=False)

Progress = TypedDict("Progress", {
    "at": "str",
    "done": "int",
    "fraction": "float",
    "message": "str",
    "total": "int",
}, total=False)

QueueView = TypedDict("QueueView", {
    "counts": "dict[str, int]",
    "failed": "int",
    "limit": "int",
    "oldest_seconds": "float",
    "paused": "bool",
    "processed": "int",
    "queue": "str",
    "waiting": "int",
}, total=False)

QueuesOutputBody = TypedDict("QueuesOutputBody", {
    "queues": "Union[list[QueueView], None]",
}, total=False)

Replay = TypedDict("Replay", {
    "options": "ReplayOptions",
    "payload": "Any",
}, total=False)

ReplayOptions = TypedDict("ReplayOptions", {
    "max_retry": "int",
    "retention": "str",
    "timeout": "str",
}, total=False)

Replayed = TypedDict("Replayed", {
    "at": "str",
    "reason": "str",
    "times": "int",
}, total=False)

Request = dict  # kind, payload, options

SDKDist = TypedDict("SDKDist", {
    "integrity": "str",
    "size": "int",
    "verified": "bool",
    "verified_by": "str",
}, total=False)

SDKFetchPayload = TypedDict("SDKFetchPayload", {
    "ecosystem": "str",
    "include": "Union[list[str], None]",
    "index": "bool",
    "name": "str",
    "version": "str",
}, total=False)

SDKFetchResult = TypedDict("SDKFetchResult", {
    "api": "Union[list[SDKSymbol], None]",
    "api_truncated": "bool",
    "dependencies": "dict[str, str]",
    "deprecated": "Union[str, None]",
    "description": "str",
    "dist": "SDKDist",
    "ecosystem": "str",
    "engines": "dict[str, str]",
    "files": "Union[list[SDKFile], None]",
    "homepage": "str",
    "license": "str",
    "name": "str",
    "peer_dependencies": "dict[str, str]",
    "published_at": "str",
    "readme": "str",
    "repository": "str",
    "retracted": "Union[list[str], None]",
    "sources": "Union[list[SDKSource], None]",
    "tags": "dict[str, str]",
    "token": "str",
    "version": "str",
    "versions": "Union[list[str], None]",
    "warnings": "Union[list[str], None]",
}, total=False)

SDKFile = TypedDict("SDKFile", {
    "path": "str",
    "size": "int",
}, total=False)

SDKSource = TypedDict("SDKSource", {
    "age_s": "int",
    "error": "str",
    "etag": "str",
    "ok": "bool",
    "source": "str",
}, total=False)

SDKSymbol = TypedDict("SDKSymbol", {
    "doc": "str",
    "kind": "str",
    "name": "str",
    "package": "str",
    "signature": "str",
}, total=False)

SearchHit = TypedDict("SearchHit", {
    "anchor": "str",
    "collection": "str",
    "document": "str",
    "heading": "str",
    "id": "str",
    "score": "float",
    "snippet": "str",
    "title": "str",
    "url": "str",
    "why": "Union[list[str], None]",
}, total=False)

SearchPayload = TypedDict("SearchPayload", {
    "collection": "str",
    "facets": "Union[list[str], None]",
    "filters": "dict[str, Union[list[str], None]]",
    "fuzzy": "str",
    "limit": "int",
    "min_token": "str",
    "offset": "int",
    "query": "str",
}, total=False)

SearchResult = TypedDict("SearchResult", {
    "did_you_mean": "str",
    "facets": "dict[str, dict[str, int]]",
    "hits": "Union[list[SearchHit], None]",
    "stale": "bool",
    "token": "str",
    "took_ms": "float",
    "total": "int",
}, total=False)

Task = TypedDict("Task", {
    "attempts": "int",
    "cached": "str",
    "enqueued_at": "str",
    "error": "Error",
    "finished_at": "str",
    "id": "str",
    "kind": "str",
    "node": "str",
    "peak_memory_bytes": "int",
    "progress": "Progress",
    "queue": "str",
    "replayed": "Replayed",
    "result": "Any",
    "started_at": "str",
    "state": "Literal['pending', 'scheduled', 'active', 'retry', 'completed', 'archived', 'canceled']",
}, total=False)


class Jobyard(Base):
    """The yard's API."""

    def healthz(self) -> HealthOutputBody:
        """Is this process alive?."""
        return self._send("GET", f"/healthz")

    def readyz(self) -> HealthOutputBody:
        """Can this process accept tasks?."""
        return self._send("GET", f"/readyz")

    def get_audit(self, limit: Union[int, None] = None, class_: Union[Literal["changes", "handed", "refusals"], None] = None) -> AuditOutputBody:
        """Read the audit log."""
        return self._send("GET", f"/v1/audit", query={"limit": limit, "class": class_})

    def post_batch(self, body: Batch, idempotency_key: Union[str, None] = None) -> BatchInfo:
        """Hand over many tasks as one."""
        return self._send("POST", f"/v1/batches", headers={"Idempotency-Key": idempotency_key}, body=body)

    def delete_batch(self, id: str) -> BatchInfo:
        """Cancel a batch."""
        return self._send("DELETE", f"/v1/batches/{urllib.parse.quote(id, safe='')}")

    def get_batch(self, id: str, wait: Union[str, None] = None) -> BatchInfo:
        """Look at a batch."""
        return self._send("GET", f"/v1/batches/{urllib.parse.quote(id, safe='')}", query={"wait": wait})

    def get_batch_results(self, id: str, from_: Union[int, None] = None) -> Iterator[Task]:
        """Stream a batch's tasks."""
        return self._lines("GET", f"/v1/batches/{urllib.parse.quote(id, safe='')}/results", query={"from": from_})

    def post_blob(self, body: bytes) -> BlobView:
        """Upload a document."""
        return self._send("POST", f"/v1/blobs", body=body)

    def get_blob(self, sha: str) -> bytes:
        """Get a blob's bytes."""
        return self._bytes("GET", f"/v1/blobs/{urllib.parse.quote(sha, safe='')}")

    def get_dead(self, kind: Union[str, None] = None, queue: Union[str, None] = None, reason: Union[str, None] = None, group: Union[str, None] = None, since: Union[str, None] = None, before: Union[str, None] = None, limit: Union[str, None] = None, after: Union[str, None] = None) -> DeadPage:
        """List dead letters."""
        return self._send("GET", f"/v1/dead", query={"kind": kind, "queue": queue, "reason": reason, "group": group, "since": since, "before": before, "limit": limit, "after": after})

    def delete_dead(self, body: DeadCall) -> DeadSweep:
        """Delete many dead letters for good."""
        return self._send("POST", f"/v1/dead/delete", body=body)

    def get_dead_groups(self, kind: Union[str, None] = None, queue: Union[str, None] = None, reason: Union[str, None] = None, group: Union[str, None] = None, since: Union[str, None] = None, before: Union[str, None] = None) -> DeadGroups:
        """Group dead letters by what failed alike."""
        return self._send("GET", f"/v1/dead/groups", query={"kind": kind, "queue": queue, "reason": reason, "group": group, "since": since, "before": before})

    def replay_dead(self, body: DeadCall) -> DeadSweep:
        """Replay many dead letters."""
        return self._send("POST", f"/v1/dead/replay", body=body)

    def delete_dead_letter(self, id: str) -> None:
        """Delete a dead letter for good."""
        return self._send("DELETE", f"/v1/dead/{urllib.parse.quote(id, safe='')}")

    def get_dead_letter(self, id: str) -> DeadLetter:
        """Look at a dead letter."""
        return self._send("GET", f"/v1/dead/{urllib.parse.quote(id, safe='')}")

    def replay_dead_letter(self, id: str, body: Union[Replay, None] = None) -> Task:
        """Replay a dead letter."""
        return self._send("POST", f"/v1/dead/{urllib.parse.quote(id, safe='')}/replay", body=body)

    def get_kinds(self) -> KindsOutputBody:
        """List the kinds of work."""
        return self._send("GET", f"/v1/kinds")

    def get_queues(self) -> QueuesOutputBody:
        """Look at the queues."""
        return self._send("GET", f"/v1/queues")

    def post_task(self, body: Request, idempotency_key: Union[str, None] = None, wait: Union[str, None] = None) -> Task:
        """Hand over a task."""
        return self._send("POST", f"/v1/tasks", query={"wait": wait}, headers={"Idempotency-Key": idempotency_key}, body=body)

    def delete_task(self, id: str) -> Task:
        """Cancel a task."""
        return self._send("DELETE", f"/v1/tasks/{urllib.parse.quote(id, safe='')}")

    def get_task(self, id: str, wait: Union[str, None] = None) -> Task:
        """Look at a task."""
        return self._send("GET", f"/v1/tasks/{urllib.parse.quote(id, safe='')}", query={"wait": wait})

    def get_events(self, id: str, last_event_id: Union[str, None] = None) -> Iterator[Task]:
        """Watch a task."""
        return self._events("GET", f"/v1/tasks/{urllib.parse.quote(id, safe='')}/events", headers={"Last-Event-ID": last_event_id})

    def get_result(self, id: str, wait: Union[str, None] = None, if_none_match: Union[str, None] = None) -> Any:
        """Get a task's result alone."""
        return self._send("GET", f"/v1/tasks/{urllib.parse.quote(id, safe='')}/result", query={"wait": wait}, headers={"If-None-Match": if_none_match})

    def get_webhooks(self) -> EndpointsOutputBody:
        """List the webhooks' endpoints."""
        return self._send("GET", f"/v1/webhooks")

    def get_deliveries(self, dead: Union[bool, None] = None, limit: Union[int, None] = None) -> DeliveriesOutputBody:
        """List calls of webhooks."""
        return self._send("GET", f"/v1/webhooks/deliveries", query={"dead": dead, "limit": limit})

    def retry_delivery(self, id: str) -> Delivery:
        """Make a call again."""
        return self._send("POST", f"/v1/webhooks/deliveries/{urllib.parse.quote(id, safe='')}/retry")
