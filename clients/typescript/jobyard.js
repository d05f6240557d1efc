// Generated from the yard's OpenAPI description by go test ./clients -run Generated -update. Do not edit.
import { Base } from "./runtime.js";
export { Problem, TaskError } from "./runtime.js";

export class Jobyard extends Base {
  /** Is this process alive? */
  healthz({} = {}, { signal } = {}) {
    return this._send("GET", `/healthz`, { signal });
  }
  /** Can this process accept tasks? */
  readyz({} = {}, { signal } = {}) {
    return this._send("GET", `/readyz`, { signal });
  }
  /** Read the audit log */
  getAudit({ limit, class_ } = {}, { signal } = {}) {
    return this._send("GET", `/v1/audit`, { signal, query: { "limit": limit, "class": class_ } });
  }
  /** Hand over many tasks as one */
  postBatch({ idempotencyKey, body } = {}, { signal } = {}) {
    return this._send("POST", `/v1/batches`, { signal, headers: { "Idempotency-Key": idempotencyKey }, body });
  }
  /** Cancel a batch */
  deleteBatch({ id } = {}, { signal } = {}) {
    return this._send("DELETE", `/v1/batches/${encodeURIComponent(id)}`, { signal });
  }
  /** Look at a batch */
  getBatch({ id, wait } = {}, { signal } = {}) {
    return this._send("GET", `/v1/batches/${encodeURIComponent(id)}`, { signal, query: { "wait": wait } });
  }
  /** Stream a batch's tasks */
  getBatchResults({ id, from } = {}, { signal } = {}) {
    return this._lines("GET", `/v1/batches/${encodeURIComponent(id)}/results`, { signal, query: { "from": from } });
  }
  /** Upload a document */
  postBlob({ body } = {}, { signal } = {}) {
    return this._send("POST", `/v1/blobs`, { signal, body });
  }
  /** Get a blob's bytes */
  getBlob({ sha } = {}, { signal } = {}) {
    return this._bytes("GET", `/v1/blobs/${encodeURIComponent(sha)}`, { signal });
  }
  /** List dead letters */
  getDead({ kind, queue, reason, group, since, before, limit, after } = {}, { signal } = {}) {
    return this._send("GET", `/v1/dead`, { signal, query: { "kind": kind, "queue": queue, "reason": reason, "group": group, "since": since, "before": before, "limit": limit, "after": after } });
  }
  /** Delete many dead letters for good */
  deleteDead({ body } = {}, { signal } = {}) {
    return this._send("POST", `/v1/dead/delete`, { signal, body });
  }
  /** Group dead letters by what failed alike */
  getDeadGroups({ kind, queue, reason, group, since, before } = {}, { signal } = {}) {
    return this._send("GET", `/v1/dead/groups`, { signal, query: { "kind": kind, "queue": queue, "reason": reason, "group": group, "since": since, "before": before } });
  }
  /** Replay many dead letters */
  replayDead({ body } = {}, { signal } = {}) {
    return this._send("POST", `/v1/dead/replay`, { signal, body });
  }
  /** Delete a dead letter for good */
  deleteDeadLetter({ id } = {}, { signal } = {}) {
    return this._send("DELETE", `/v1/dead/${encodeURIComponent(id)}`, { signal });
  }
  /** Look at a dead letter */
  getDeadLetter({ id } = {}, { signal } = {}) {
    return this._send("GET", `/v1/dead/${encodeURIComponent(id)}`, { signal });
  }
  /** Replay a dead letter */
  replayDeadLetter({ id, body } = {}, { signal } = {}) {
    return this._send("POST", `/v1/dead/${encodeURIComponent(id)}/replay`, { signal, body });
  }
  /** List the kinds of work */
  getKinds({} = {}, { signal } = {}) {
    return this._send("GET", `/v1/kinds`, { signal });
  }
  /** Look at the queues */
  getQueues({} = {}, { signal } = {}) {
    return this._send("GET", `/v1/queues`, { signal });
  }
  /** Hand over a task */
  postTask({ idempotencyKey, wait, body } = {}, { signal } = {}) {
    return this._send("POST", `/v1/tasks`, { signal, query: { "wait": wait }, headers: { "Idempotency-Key": idempotencyKey }, body });
  }
  /** Cancel a task */
  deleteTask({ id } = {}, { signal } = {}) {
    return this._send("DELETE", `/v1/tasks/${encodeURIComponent(id)}`, { signal });
  }
  /** Look at a task */
  getTask({ id, wait } = {}, { signal } = {}) {
    return this._send("GET", `/v1/tasks/${encodeURIComponent(id)}`, { signal, query: { "wait": wait } });
  }
  /** Watch a task */
  getEvents({ id, lastEventId } = {}, { signal } = {}) {
    return this._events("GET", `/v1/tasks/${encodeURIComponent(id)}/events`, { signal, headers: { "Last-Event-ID": lastEventId } });
  }
  /** Get a task's result alone */
  getResult({ id, wait, ifNoneMatch } = {}, { signal } = {}) {
    return this._send("GET", `/v1/tasks/${encodeURIComponent(id)}/result`, { signal, query: { "wait": wait }, headers: { "If-None-Match": ifNoneMatch } });
  }
  /** List the webhooks' endpoints */
  getWebhooks({} = {}, { signal } = {}) {
    return this._send("GET", `/v1/webhooks`, { signal });
  }
  /** List calls of webhooks */
  getDeliveries({ dead, limit } = {}, { signal } = {}) {
    return this._send("GET", `/v1/webhooks/deliveries`, { signal, query: { "dead": dead, "limit": limit } });
  }
  /** Make a call again */
  retryDelivery({ id } = {}, { signal } = {}) {
    return this._send("POST", `/v1/webhooks/deliveries/${encodeURIComponent(id)}/retry`, { signal });
  }
}
