// The page of the tasks: look one up, or list them by kind, state and reason.
// What is chosen stands in the address, so that it can be handed on.
import { call, problem } from "./act.js";
import { start } from "./app.js";
import { el, text, keyed, attribute } from "./dom.js";
import { count, fine, moment } from "./format.js";
import { cells, taskLink, write } from "./table.js";
import { chipOf } from "./state.js";

const by = (id) => document.getElementById(id);
const filter = by("filter");
const fields = ["kind", "state", "reason"];
const choices = {
  kind: ["search", "sdk_fetch", "config_gen", "document_parse"],
  state: ["pending", "scheduled", "active", "retry", "completed", "archived", "canceled"],
  reason: "invalid not_found rejected too_large integrity upstream busy timeout cpu oom crash panic interrupted canceled expired unknown".split(" "),
};
const page = 50;
const here = new URLSearchParams(location.search);
let skip = Math.max(0, parseInt(here.get("skip") ?? "0", 10) || 0);

for (const name of fields) {
  for (const c of choices[name]) filter.elements[name].append(new Option(c, c));
  filter.elements[name].value = choices[name].includes(here.get(name)) ? here.get(name) : "";
}
if (skip > 0) filter.elements.follow.checked = false;

by("find").addEventListener("submit", (e) => {
  e.preventDefault();
  const id = e.target.elements.id.value.trim();
  if (id) location.href = `/tasks/${encodeURIComponent(id)}`;
});
filter.addEventListener("submit", (e) => e.preventDefault());
filter.addEventListener("change", (e) => {
  if (e.target.name !== "follow") turn(0);
});
by("next").addEventListener("click", () => turn(skip + page));
by("previous").addEventListener("click", () => turn(Math.max(0, skip - page)));

function turn(to) {
  skip = to;
  if (skip > 0) filter.elements.follow.checked = false;
  const query = chosen();
  if (skip) query.set("skip", skip);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  load();
}

function chosen() {
  const query = new URLSearchParams();
  for (const name of fields) if (filter.elements[name].value) query.set(name, filter.elements[name].value);
  return query;
}

const rows = keyed(by("tasks").tBodies[0], row);
let loading = false;
let again = false;

// load fetches the list; while one is under way only the newest wish is kept.
async function load() {
  if (loading) return void (again = true);
  loading = true;
  const query = chosen();
  query.set("skip", skip);
  query.set("limit", page);
  try {
    const l = await call(`/api/tasks?${query}`);
    rows(l.tasks, (t) => t.id);
    const cut = l.cut ? ", the search ended before all were seen" : "";
    text(by("tasks-note"), l.tasks.length ? `${count(skip + 1)} to ${count(skip + l.tasks.length)}${l.more ? " of more" : ""}${cut}` : `none that fit${cut}`);
    by("next").disabled = !l.more || skip + page > 4900;
    by("previous").disabled = skip === 0;
    problem("");
  } catch (e) {
    problem(e.message);
  }
  loading = false;
  if (again) {
    again = false;
    load();
  }
}

function row(t) {
  const { row, all } = cells(by("tasks"));
  const [id, kind, state, error, attempts, enqueued, waited, ran, node] = all;
  id.append(taskLink(t.id));
  id.classList.add("mono");
  const chip = el("span", "chip");
  state.append(chip);
  const words = el("div", "two-lines");
  error.append(words);
  return {
    root: row,
    update(t) {
      text(kind, t.queue);
      chipOf(chip, t.state);
      write(words, t.error ? `${t.error.reason}: ${t.error.message}` : "–");
      attribute(words, "title", t.error?.message ?? "");
      write(attempts, count(t.attempts));
      const at = (s) => (s ? Date.parse(s) : NaN);
      const between = (a, b) => (b >= a ? fine((b - a) / 1000) : "–");
      text(enqueued, t.enqueued_at ? moment(new Date(t.enqueued_at)) : "–");
      write(waited, between(at(t.enqueued_at), at(t.started_at)));
      write(ran, between(at(t.started_at), t.state === "active" ? Date.now() : at(t.finished_at)));
      write(node, t.node || "–");
    },
  };
}

load();
start(() => {
  if (filter.elements.follow.checked && document.visibilityState === "visible") load();
});
