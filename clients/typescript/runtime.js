// What the generated client stands on: requests, problems, waits. No dependencies.

/** A refusal of the API (RFC 9457). */
export class Problem extends Error {
  constructor(status, model, retryAfter) {
    const first = model.errors?.[0];
    super(`${status} ${model.detail ?? ""}${first ? `: ${first.location}: ${first.message}` : ""}`);
    this.name = "Problem";
    this.status = status;
    this.detail = model.detail ?? "";
    this.fields = model.errors ?? [];
    this.requestId = model.request_id;
    this.retryAfter = retryAfter;
  }
}

/** A task that ended without a result. */
export class TaskError extends Error {
  constructor(task) {
    super(`${task.error?.reason ?? task.state}: ${task.error?.message ?? "the task has no result"}`);
    this.name = "TaskError";
    this.task = task;
  }
}

const pause = (ms, signal) => new Promise((resolve, reject) => {
  signal?.throwIfAborted();
  const stop = () => { clearTimeout(timer); reject(signal.reason); };
  const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, ms);
  signal?.addEventListener("abort", stop, { once: true });
});

/** Tells of failures that may pass: of the network, or of a yard that is full or away. */
const passing = (e, signal) => !signal?.aborted && (!(e instanceof Problem) || e.status === 429 || e.status === 503);

/** A signal that also aborts once nothing has come for so many seconds. */
const watchdog = (signal, seconds) => {
  const silent = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silent.abort(new DOMException(`no answer within ${seconds} s`, "TimeoutError")), seconds * 1000);
  };
  alive();
  return { signal: signal ? AbortSignal.any([signal, silent.signal]) : silent.signal, alive, end: () => clearTimeout(timer) };
};

/** How often in a row a stream may break off and bring nothing. */
const maxFruitless = 5;

const final = (state) => state === "completed" || state === "archived" || state === "canceled";

export class Base {
  /** url: the API's address; key: its key, if it asks for one; patience: seconds
   * to go on for while it is full or away; timeout: seconds for one answer, and
   * for silence in a stream; fetch: another than the global one. */
  constructor({ url, key, patience = 0, timeout = 90, fetch = globalThis.fetch }) {
    this.url = url.replace(/\/+$/, "");
    this.key = key;
    this.patience = patience;
    this.timeout = timeout;
    this.fetch = fetch;
  }

  async _ask(method, path, { query = {}, headers = {}, body, signal } = {}) {
    const search = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== undefined).map(([k, v]) => [k, String(v)])).toString();
    const all = Object.fromEntries(Object.entries(headers).filter(([, v]) => v !== undefined));
    if (this.key) all.Authorization = `Bearer ${this.key}`;
    const raw = body instanceof Uint8Array;
    if (body !== undefined) all["Content-Type"] = raw ? "application/octet-stream" : "application/json";
    const answer = await this.fetch(this.url + path + (search && `?${search}`), {
      method, headers: all, signal, body: body === undefined || raw ? body : JSON.stringify(body),
    });
    if (answer.ok || answer.status === 304) return answer;
    const model = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, model, Number(answer.headers.get("retry-after")) || undefined);
  }

  /** Every request can be repeated: what is handed over has an id before it is sent. */
  async _send(method, path, options = {}) {
    const text = await this._read(method, path, options, (answer) => answer.text());
    return text ? JSON.parse(text) : undefined;
  }

  async _bytes(method, path, options = {}) {
    return new Uint8Array(await this._read(method, path, options, (answer) => answer.arrayBuffer()));
  }

  async _read(method, path, options, read) {
    if (options.body && !(options.body instanceof Uint8Array) && !options.body.id && !options.body.options?.id) {
      options.headers = { ...options.headers, "Idempotency-Key": options.headers?.["Idempotency-Key"] ?? crypto.randomUUID() };
    }
    const until = Date.now() + this.patience * 1000;
    for (let wait = 0.1; ; wait = Math.min(2 * wait, 5)) {
      const dog = watchdog(options.signal, this.timeout);
      try {
        const answer = await this._ask(method, path, { ...options, signal: dog.signal });
        return answer.status === 304 ? undefined : await read(answer);
      } catch (e) {
        if (!passing(e, options.signal)) throw e;
        const after = Math.max(wait, e.retryAfter ?? 0) * 1000;
        if (Date.now() + after > until) throw e;
        await pause(after, options.signal);
      } finally {
        dog.end();
      }
    }
  }

  /** The lines of one answer. */
  async *_stream(method, path, options) {
    const dog = watchdog(options.signal, this.timeout);
    try {
      const answer = await this._ask(method, path, { ...options, signal: dog.signal });
      if (answer.status !== 204) yield* lines(answer.body, dog.alive);
      return answer.status;
    } finally {
      dog.end();
    }
  }

  async *_lines(method, path, options = {}) {
    let next = options.query?.from ?? 0;
    for (let fruitless = 0; ;) {
      const from = next;
      let broken;
      try {
        for await (const line of this._stream(method, path, { ...options, query: { ...options.query, from } })) {
          const value = JSON.parse(line);
          if (typeof value.next === "number") { broken = new Error("the stream of results ends again and again"); break; }
          next++;
          yield value;
        }
      } catch (e) {
        if (!passing(e, options.signal)) throw e;
        broken = e;
      }
      if (!broken) return;
      fruitless = next > from ? 0 : fruitless + 1;
      if (fruitless === maxFruitless) throw broken;
      await pause(Math.max(1, broken.retryAfter ?? 0) * 1000, options.signal);
    }
  }

  /** A task at each of its changes; where the stream ends before the task, it is asked for again. */
  async *_events(method, path, options = {}) {
    let last = options.headers?.["Last-Event-ID"];
    for (let fruitless = 0; ;) {
      const stream = this._stream(method, path, { ...options, headers: { ...options.headers, "Last-Event-ID": last } });
      try {
        for (;;) {
          const { value, done } = await stream.next();
          if (done && value === 204) return;
          if (done) break;
          if (value.startsWith("id: ")) last = value.slice(4);
          if (!value.startsWith("data: ")) continue;
          fruitless = 0;
          const task = JSON.parse(value.slice(6));
          yield task;
          if (final(task.state)) return;
        }
      } catch (e) {
        if (!passing(e, options.signal) || ++fruitless === maxFruitless) throw e;
      } finally {
        await stream.return();
      }
      await pause(2000, options.signal);
    }
  }

  /** The task once it is final. */
  async wait(id, { signal } = {}) {
    for (;;) {
      const started = Date.now();
      const task = await this.getTask({ id, wait: "30s" }, { signal });
      if (final(task.state)) return task;
      if (Date.now() - started < 15000) await pause(1000, signal);
    }
  }

  /** Hands a task over and gives its result; a task that failed throws TaskError. */
  async do(kind, payload, options = {}, { signal } = {}) {
    const id = options.id ?? crypto.randomUUID();
    let task = await this.postTask({ body: { kind, payload, options: { ...options, id } }, wait: "30s" }, { signal });
    if (!final(task.state)) task = await this.wait(id, { signal });
    if (task.state !== "completed") throw new TaskError(task);
    return task.result;
  }
}

async function* lines(stream, alive) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    alive();
    rest += decoder.decode(chunk, { stream: true });
    const all = rest.split("\n");
    rest = all.pop();
    yield* all.filter((l) => l.trim() !== "");
  }
  if (rest.trim() !== "") yield rest;
}
