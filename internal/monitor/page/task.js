// The page of one task: why it waits, its life, and what it was handed over
// with.
import { act, call, confirmed, problem } from "./act.js";
import { start } from "./app.js";
import { el, text, facts, attribute } from "./dom.js";
import { bytes, count, fine, moment } from "./format.js";
import { chipOf } from "./state.js";

const by = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/").pop());
const names = ["Kind", "Queue", "Attempts", "Retries", "Waited", "Ran", "Node", "Peak memory", "Runner", "Crashes", "Stands for"];
const list = facts("facts two", names);
by("facts").append(list.root);
text(by("title"), id);
document.title = `${id} – Jobyard`;

let final = false;
let shown = ""; // the payload
let loading = false;

async function load() {
  if (loading || final) return;
  loading = true;
  try {
    draw(await call(`/api/tasks/${encodeURIComponent(id)}`));
    problem("");
  } catch (e) {
    problem(e.message);
    if (e.status === 404) final = true;
  }
  loading = false;
}

function draw(v) {
  const t = v.task;
  final = ["completed", "archived", "canceled"].includes(t.state);
  chipOf(by("state"), t.state);
  text(by("where"), t.kind);
  text(by("why"), v.why.text);
  by("blocks").replaceChildren(...v.why.blocks.map((b) =>
    el("li", "", el("span", "chip", b.what.replace("_", " ")), el("span", "", b.text), ...(b.remedy ? [el("span", "muted", b.remedy)] : []))));
  by("failure").hidden = !t.error;
  if (t.error) text(by("failure-text"), `${t.error.reason}: ${t.error.message}${t.error.retryable ? " It may succeed later." : ""}`);
  drawLine(v.timeline);
  drawFacts(v);
  content("payload", v.payload, "It is not kept.");
  by("result-card").hidden = t.state !== "completed";
  content("result", v.result, "It is empty.");
  by("cancel").hidden = v.read_only || final || t.state === "canceled";
  by("retry").hidden = v.read_only || !["retry", "scheduled", "archived"].includes(t.state);
  shown = v.payload.text;
  by("edit").hidden = v.read_only || t.state !== "archived" || !shown || v.stands_for > 1;
  text(by("retry"), t.state === "archived" ? "Replay" : t.state === "scheduled" ? "Start now" : "Retry now");
}

const verbs = {
  enqueued: "Enqueued", ready: "Ready", due: "Due", picked: "Picked up", running: "Running", completed: "Committed", archived: "Failed for good", canceled: "Canceled",
};

function drawLine(moments) {
  let before = null;
  by("timeline").replaceChildren(...moments.map((m) => {
    const at = m.at ? new Date(m.at) : null;
    const since = at && before && at >= before ? `+${fine((at - before) / 1000)}` : "";
    if (at) before = at;
    const when = el("time", "muted", at ? moment(at) : m.next ? "to come" : "now");
    if (at) attribute(when, "datetime", m.at);
    const li = el("li", m.next ? "next" : "", el("strong", "", verbs[m.what] ?? m.what), when, el("span", "gap", since), el("span", "muted note", m.note ?? ""));
    return li;
  }));
}

function drawFacts(v) {
  const t = v.task;
  const at = (s) => (s ? Date.parse(s) : NaN);
  const between = (a, b) => (b >= a ? fine((b - a) / 1000) : "–");
  list.set("Kind", t.kind);
  list.set("Queue", t.queue);
  list.set("Attempts", count(t.attempts));
  list.set("Retries", `${count(v.retried)} of ${count(v.max_retry)}`);
  list.set("Waited", between(at(t.enqueued_at), t.started_at ? at(t.started_at) : Date.now()));
  list.set("Ran", between(at(t.started_at), t.state === "active" ? Date.now() : at(t.finished_at)));
  list.set("Node", t.node || "–");
  list.set("Peak memory", t.peak_memory_bytes ? bytes(t.peak_memory_bytes) : "–");
  list.set("Runner", v.runner ? `process ${v.runner.pid}, ${bytes(v.runner.rss_bytes)}` : "–");
  list.set("Crashes", v.crashes ? `${count(v.crashes)} nodes died` : "none");
  list.set("Stands for", v.stands_for ? `${count(v.stands_for)} of a batch` : "itself");
}

function content(name, c, none) {
  const hidden = c.hidden ? `, ${count(c.hidden)} that look like secrets are not shown` : "";
  text(by(`${name}-note`), c.text ? `${bytes(c.bytes)}${hidden}` : c.bytes ? `${bytes(c.bytes)}: too large to be shown here` : none);
  text(by(name), c.text);
  by(name).hidden = !c.text;
}

by("cancel").addEventListener("click", async () => {
  if (!(await confirmed("Cancel this task?", "One that waits is withdrawn, one that runs is asked to stop. It does not run again.", "Cancel it"))) return;
  await act(`/api/tasks/${encodeURIComponent(id)}/cancel`, "The task is canceled.");
  load();
});
by("retry").addEventListener("click", async () => {
  if (await act(`/api/tasks/${encodeURIComponent(id)}/retry`, "The task is back in its queue.")) final = false;
  load();
});

// edit opens the editor, or closes it.
function edit(open) {
  by("editor").hidden = !open;
  attribute(by("edit"), "aria-expanded", open);
  refuse("");
  if (open) by("edited").value = shown;
  by(open ? "edited" : "edit").focus();
}

function refuse(words) {
  by("edited-problem").hidden = !words;
  text(by("edited-problem"), words);
}

by("edit").addEventListener("click", () => edit(by("editor").hidden));
by("edit-no").addEventListener("click", () => edit(false));
by("editor").addEventListener("keydown", (e) => {
  if (e.key === "Escape") edit(false);
});
by("editor").addEventListener("submit", async (e) => {
  e.preventDefault();
  try {
    JSON.parse(by("edited").value);
  } catch (fault) {
    return refuse(`That is no JSON: ${fault.message}.`);
  }
  try {
    // As it was written: numbers keep their digits.
    await call(`/api/tasks/${encodeURIComponent(id)}/replay`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: `{"payload": ${by("edited").value}}`,
    });
  } catch (fault) {
    return refuse(fault.message);
  }
  edit(false);
  by("main").focus();
  text(by("announce"), "The task is back in its queue with the new payload.");
  final = false;
  load();
});

load();
start(load);
