// The page of the dead letters: those that failed alike are one row.
import { act, call, confirmed, problem } from "./act.js";
import { start } from "./app.js";
import { el, text, keyed, attribute } from "./dom.js";
import { count, moment } from "./format.js";
import { cells, link, taskLink } from "./table.js";

const by = (id) => document.getElementById(id);
const rows = keyed(by("dead").tBodies[0], row);
let loading = false;
let dead = -1;

async function load() {
  if (loading) return;
  loading = true;
  try {
    const d = await call("/api/dead");
    rows(d.groups, (g) => g.fingerprint, d);
    by("none").hidden = d.groups.length > 0;
    by("dead-sheet").hidden = d.groups.length === 0;
    by("read-only").hidden = !d.read_only;
    text(by("dead-note"), d.groups.length ? `${count(d.letters)} in ${count(d.groups.length)} groups${d.partial ? ", the latest of more" : ""}` : "");
    problem("");
  } catch (e) {
    problem(e.message);
  }
  loading = false;
}

function row(g) {
  const { row, all } = cells(by("dead"));
  const [tally, kind, reason, message, first, last, example, buttons] = all;
  const replay = el("button", "", "Replay");
  const remove = el("button", "", "Delete");
  const words = el("p", "buttons", replay, " ", remove);
  buttons.append(words);
  let now = g;
  replay.addEventListener("click", () => move(now, "replay"));
  remove.addEventListener("click", () => move(now, "delete"));
  return {
    root: row,
    update(g, d) {
      now = g;
      text(tally, count(g.count));
      text(kind, g.kind || "not known");
      if (!reason.firstChild) reason.append(link(`/tasks?state=archived&reason=${encodeURIComponent(g.reason)}`, g.reason));
      text(message, g.message);
      const when = (s) => (s ? moment(new Date(s)) : "–");
      text(first, when(g.first_at));
      text(last, when(g.last_at));
      if (example.title !== g.example) {
        example.replaceChildren(taskLink(g.example));
        example.classList.add("mono");
        example.title = g.example;
      }
      words.hidden = d.read_only;
      attribute(replay, "aria-label", `Replay ${count(g.count)} of ${g.kind}, ${g.reason}`);
      attribute(remove, "aria-label", `Delete ${count(g.count)} of ${g.kind}, ${g.reason}`);
    },
  };
}

async function move(g, how) {
  const many = `${count(g.count)} ${g.count === 1 ? "task" : "tasks"} of ${g.kind}, ${g.reason}`;
  const sure = how === "delete"
    ? await confirmed("Delete for good?", `${many}: they cannot be brought back.`, "Delete them")
    : await confirmed("Replay?", `${many}: they go back into their queue and are tried anew.`, "Replay them");
  if (!sure) return;
  await act(`/api/dead/${how}`, (did) => `${count(did.done)} ${how === "delete" ? "deleted" : "replayed"}${did.left ? `, ${count(did.left)} left: press again` : ""}.`, { fingerprint: g.fingerprint });
  load();
}

load();
start((s) => {
  // The list is long to make: only where their number changed.
  if (s.total.archived !== dead && document.visibilityState === "visible") load();
  dead = s.total.archived;
});
