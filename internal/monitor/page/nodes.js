// The page of the nodes: the cards of the overview, with the runners and a
// button that asks a node to take no more tasks.
import { act, confirmed } from "./act.js";
import { start } from "./app.js";
import { el, text, attribute, keyed } from "./dom.js";
import { bytes, count, span } from "./format.js";
import { nodes } from "./nodecards.js";

const by = (id) => document.getElementById(id);

start(nodes(by("nodes"), more), (s) => {
  by("read-only").hidden = !s.read_only;
});

function more(node) {
  const forecast = el("p", "forecast");
  const rows = el("tbody");
  const runners = keyed(rows, runner);
  const table = el(
    "table", "runners", el("caption", "", "Runners"),
    el("thead", "", el("tr", "", ...["Kind", "State", "Memory", "Age", "Done"].map(header))), rows,
  );
  const none = el("p", "muted", "No runner is up.");
  const button = el("button");
  button.type = "button";
  const buttons = el("p", "buttons", button);
  let asked = false;
  button.addEventListener("click", () => change(node.id, asked));
  return {
    parts: [forecast, table, none, buttons],
    update(n, s) {
      forecast.hidden = n.full_in_seconds === undefined;
      if (!forecast.hidden) text(forecast, `If it goes on growing, its memory is full in ${span(n.full_in_seconds)}.`);
      attribute(forecast, "data-level", n.full_in_seconds < 1800 ? "warn" : "ok");
      runners(n.runners ?? [], (r) => r.pid);
      table.hidden = !n.runners?.length;
      none.hidden = !table.hidden || !n.up;
      asked = n.state === "draining" || n.state === "drained";
      buttons.hidden = s.read_only || !n.up;
      text(button, asked ? "Let it go on" : "Drain");
      attribute(button, "aria-label", asked ? `Let node ${n.id} go on` : `Drain node ${n.id}`);
    },
  };
}

const header = (name) => {
  const th = el("th", "", name);
  th.scope = "col";
  return th;
};

function runner() {
  const [kind, state, memory, age, done] = [el("td"), el("td"), el("td", "n"), el("td", "n"), el("td", "n")];
  const task = el("a");
  return {
    root: el("tr", "", kind, state, memory, age, done),
    update(r) {
      text(kind, r.kind);
      if (r.task) {
        text(task, r.state);
        attribute(task, "href", `/tasks/${encodeURIComponent(r.task)}`);
        attribute(task, "title", r.task);
        if (task.parentNode !== state) state.replaceChildren(task);
      } else text(state, r.state);
      text(memory, bytes(r.rss_bytes));
      text(age, span(r.age_seconds));
      text(done, count(r.tasks_done));
    },
  };
}

async function change(id, asked) {
  const path = `/api/nodes/${encodeURIComponent(id)}/`;
  if (asked) return act(path + "resume", `Node ${id} takes tasks again within seconds.`);
  const sure = await confirmed("Drain this node?", `${id} takes no more tasks and finishes those that it has. It stays up until it is stopped, or let go on.`, "Drain it");
  if (sure) await act(path + "drain", `Node ${id} was asked to drain.`);
}
