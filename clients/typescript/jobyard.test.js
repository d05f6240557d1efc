// Run by go test ./clients against a real yard.
import assert from "node:assert/strict";
import { Jobyard, Problem, TaskError } from "./jobyard.js";

const yard = new Jobyard({ url: process.env.YARD_URL, key: process.env.YARD_KEY, patience: 5 });

const found = await yard.do("search", { query: "camera" });
assert.equal(found.hits[0].title, "camera");

const task = await yard.postTask({ body: { kind: "search", payload: { query: "maps" } }, idempotencyKey: "order-1" });
assert.equal(task.id, "order-1");
assert.equal((await yard.postTask({ body: { kind: "search", payload: { query: "maps" } }, idempotencyKey: "order-1" })).id, "order-1");
assert.equal((await yard.wait("order-1")).state, "completed");
assert.equal((await yard.getResult({ id: "order-1" })).hits[0].title, "maps");

await assert.rejects(yard.do("search", { query: "fail" }, { max_retry: 0 }), (e) => e instanceof TaskError && e.task.error.reason === "not_found");
await assert.rejects(yard.do("search", { query: "" }), (e) => e instanceof Problem && e.status === 422 && e.fields[0].location === "payload.query" && e.requestId !== "");
await assert.rejects(yard.getTask({ id: "nope/../x" }), (e) => e instanceof Problem && e.status === 404);
await assert.rejects(yard.deleteTask({ id: "order-1" }), (e) => e instanceof Problem && e.status === 409);
await assert.rejects(new Jobyard({ url: process.env.YARD_URL }).getQueues(), (e) => e.status === 401);
await assert.rejects(yard.wait("order-1", { signal: AbortSignal.abort() }), { name: "AbortError" });

const batch = await yard.postBatch({ body: { tasks: ["a", "b", "c"].map((query) => ({ kind: "search", payload: { query } })) } });
const titles = [];
for await (const t of yard.getBatchResults({ id: batch.id })) titles.push(t.result.hits[0].title);
assert.deepEqual(titles, ["a", "b", "c"]);
assert.equal((await yard.getBatch({ id: batch.id, wait: "30s" })).counts.completed, 3);

assert.equal((await yard.getKinds()).kinds.length, 4);
assert.equal((await yard.getQueues()).queues.length, 8);
assert.ok(Array.isArray((await yard.getAudit({ limit: 5 })).entries));
assert.equal((await yard.healthz()).status, "ok");

const states = [];
for await (const t of yard.getEvents({ id: "order-1" })) states.push(t.state);
assert.deepEqual(states, ["completed"]);

await assert.rejects(yard.do("search", { query: "fail" }, { id: "dead-1", max_retry: 0 }), TaskError);
assert.equal((await yard.getDeadLetter({ id: "dead-1" })).payload.query, "fail");
assert.ok((await yard.getDead({ kind: "search", limit: "5" })).letters.length > 0);
await yard.replayDeadLetter({ id: "dead-1" });
assert.equal((await yard.wait("dead-1")).state, "archived");
await yard.replayDeadLetter({ id: "dead-1", body: { payload: { query: "well" } } });
assert.equal((await yard.wait("dead-1")).state, "completed");
await yard.do("search", { query: "fail" }, { id: "dead-2", max_retry: 0 }).catch(() => {});
assert.equal(await yard.deleteDeadLetter({ id: "dead-2" }), undefined);

const bytes = new Uint8Array([0, 255, 10]);
const { sha256 } = await yard.postBlob({ body: bytes });
assert.deepEqual(await yard.getBlob({ sha: sha256 }), bytes);

// A full yard says when to come again: with patience the client does.
const { YARD_URL: url, YARD_SLOW_KEY: slow } = process.env;
let refused;
for (let i = 0; i < 50 && !refused; i++) refused = await new Jobyard({ url, key: slow }).getQueues().then(() => undefined, (e) => e);
assert.ok(refused instanceof Problem && refused.status === 429 && refused.retryAfter >= 1);
assert.equal((await new Jobyard({ url, key: slow, patience: 30 }).getQueues()).queues.length, 8);

// Streams that the network cuts go on where they were.
const cut = new Jobyard({ url: process.env.YARD_CUT_URL, key: process.env.YARD_KEY });
const seen = [];
for await (const t of cut.getEvents({ id: "order-1" })) seen.push(t.state);
assert.deepEqual(seen, ["completed"]);
const again = [];
for await (const t of cut.getBatchResults({ id: batch.id })) again.push(t.result.hits[0].title);
assert.deepEqual(again, ["a", "b", "c"]);

// One that never answers is not waited for.
await assert.rejects(new Jobyard({ url: process.env.YARD_MUTE_URL, timeout: 0.2 }).getQueues(), { name: "TimeoutError" });
