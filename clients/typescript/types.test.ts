// Compiled by go test ./clients: what is good has types, what is wrong is refused.
import { Jobyard, Problem, TaskError, type Task } from "./jobyard.js";

const yard = new Jobyard({ url: "http://localhost:8080", key: "jy_…", patience: 5, timeout: 30 });

const found = await yard.do("search", { query: "camera" });
const title: string = found.hits![0].title;
const task: Task = await yard.getTask({ id: title, wait: "30s" });
for await (const change of yard.getEvents({ id: task.id })) { const state: string = change.state; state.length; };
for await (const one of yard.getBatchResults({ id: "nightly" })) one.result;
await yard.postBlob({ body: new Uint8Array() });
try {
  await yard.wait("x", { signal: new AbortController().signal });
} catch (e) {
  if (e instanceof Problem) e.retryAfter?.toFixed();
  if (e instanceof TaskError) e.task.state.length;
}

// @ts-expect-error no such kind
await yard.do("serch", { query: "camera" });
// @ts-expect-error the query is missing
await yard.do("search", {});
// @ts-expect-error a kind's payload is not another's
await yard.do("search", { template: "dotenv" });
// @ts-expect-error an id is a string
await yard.getTask({ id: 7 });
