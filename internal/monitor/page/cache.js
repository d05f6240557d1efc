// The page of the cache: how many tasks it spares, and how its tiers are.
import { start } from "./app.js";
import { el, text, attribute, keyed, facts, meter } from "./dom.js";
import { brief, bytes, count, moment, percent } from "./format.js";
import { cells, write } from "./table.js";

const by = (id) => document.getElementById(id);
const names = { memory: "Memory", redis: "Redis", disk: "Disk" };
const cards = keyed(by("tiers"), card);
const rows = keyed(by("cached").tBodies[0], row);

start((s) => {
  const up = s.nodes.filter((n) => n.up);
  const tiers = Object.keys(names).map((tier) => {
    const nodes = up.map((n) => ({ id: n.id, ...n.cache?.find((t) => t.tier === tier) }));
    return { tier, nodes, on: nodes.filter((n) => n.tier), broken: nodes.filter((n) => n.broken) };
  });
  sentence(s, tiers, up);
  text(by("cached-note"), s.cache?.since ? `counted since ${moment(new Date(s.cache.since))}, when this monitor began to look` : "");
  by("door-fault").hidden = !s.cache?.door_fault;
  text(by("door-fault"), `What was answered at the door could not be read, and stands as it was: ${s.cache?.door_fault}`);
  rows(s.kinds, (k) => k.kind);
  cards(tiers, (t) => t.tier, s);
});

const sum = (all, what) => all.reduce((total, v) => total + (v[what] ?? 0), 0);
const spared = (c) => c.door + c.memory + c.redis + c.disk;
const ratio = (hits, misses) => (hits + misses ? percent(hits / (hits + misses)) : "–");

let told = null;

function sentence(s, tiers, up) {
  let level = "none";
  let words = "Nothing is known while Redis is away.";
  if (s.redis.up) [level, words] = judged(s, tiers, up);
  if (told !== null && told !== level && s.redis.up) text(by("announce"), words); // figures alone are not read aloud
  told = level;
  attribute(by("cache-verdict"), "data-level", level);
  text(by("cache-verdict").querySelector(".sentence"), words);
}

function judged(s, tiers, up) {
  const broken = tiers.filter((t) => t.broken.length);
  if (broken.length) {
    const where = broken.map((t) => `${names[t.tier]} on ${count(t.broken.length)} of ${count(t.on.length)} nodes`);
    return ["warn", `Broken: ${where.join(", ")}; tasks whose results lie there are run again.`];
  }
  const hits = s.kinds.reduce((total, k) => total + spared(k.cached), 0);
  const all = hits + s.kinds.reduce((total, k) => total + k.cached.missed, 0);
  if (all) return ["ok", `${count(hits)} of ${count(all)} tasks had the result of an equal one and were not run, ${percent(hits / all)}.`];
  if (!up.length) return ["idle", "No worker is up."];
  if (!tiers.some((t) => t.on.length)) return ["idle", "Every tier is off: each task is run."];
  return ["idle", "No result has been looked for yet."];
}

function row() {
  const { row, all } = cells(by("cached"));
  const [name, part, ...figures] = all;
  const words = el("p", "depth");
  const bar = meter("");
  part.append(words, bar.root);
  return {
    root: row,
    update(k) {
      const c = k.cached;
      const hits = spared(c);
      text(name, k.kind);
      text(words, ratio(hits, c.missed));
      attribute(bar.root, "aria-label", `${k.kind}: tasks that had the result of an equal one, of those that were looked up`);
      bar.root.hidden = !(hits + c.missed);
      bar.update(hits, hits + c.missed, 2, hits + c.missed ? `${count(hits)} of ${count(hits + c.missed)}, ${ratio(hits, c.missed)}` : "none was looked up");
      [c.door, c.memory, c.redis, c.disk, c.missed].forEach((n, i) => write(figures[i], brief(n)));
    },
  };
}

const heads = ["Node", "State", "Holds", "Hits", "Misses", "Errors"];
const figuresOf = ["hit ratio", "hits", "misses", "errors"];

function card({ tier }) {
  const state = el("span", "chip");
  const holds = el("p", "memory");
  const bar = meter(`${names[tier]}: bytes held of what it may hold`);
  const figures = facts("facts four", figuresOf);
  const lines = el("tbody");
  const nodes = keyed(lines, line);
  const faults = el("ul", "blocks");
  const fault = keyed(faults, () => { const root = el("li", "fault"); return { root, update: (n) => text(root, `${n.id}: ${n.fault || "it does not say why"}`) }; });
  const table = el("table", "runners tier", el("caption", "", "By node"), el("thead", "", el("tr", "", ...heads.map(header))), lines);
  const none = el("p", "muted", "No worker is up.");
  const root = el("article", "card", el("header", "", el("h3", "", names[tier]), state), holds, bar.root, figures.root, faults, table, none);
  root.setAttribute("aria-label", `Cache tier ${names[tier]}`);
  return {
    root,
    update(t, s) {
      const [word, level] = condition(t, s);
      text(state, word);
      attribute(state, "class", `chip ${level}`);
      const [held, bound] = size(t);
      const full = t.on.length ? `${bytes(held)} of ${bytes(bound)}` : "–";
      text(holds, full);
      bar.root.hidden = !bound;
      bar.update(held, bound, 2, full); // full is how a cache is meant to be
      const hits = sum(t.on, "hits");
      const misses = sum(t.on, "misses");
      figures.set("hit ratio", ratio(hits, misses));
      figures.set("hits", brief(hits));
      figures.set("misses", brief(misses));
      figures.set("errors", brief(sum(t.on, "errors")));
      figures.mark("errors", t.broken.length ? "warn" : "ok");
      nodes(t.nodes, (n) => n.id);
      fault(t.broken, (n) => n.id);
      table.hidden = !t.nodes.length;
      none.hidden = t.nodes.length > 0;
    },
  };
}

// size is what a tier holds and may hold: of Redis what all nodes see, of the
// others what all have together.
function size(t) {
  const of = (what) => (t.tier === "redis" ? Math.max(0, ...t.on.map((n) => n[what] ?? 0)) : sum(t.on, what));
  return [of("bytes"), of("bound_bytes")];
}

function condition(t, s) {
  if (!s.redis.up || !t.nodes.length) return ["not known", "none"];
  if (t.broken.length) return [`broken on ${count(t.broken.length)} of ${count(t.on.length)}`, "bad"];
  if (!t.on.length) return ["off", "none"];
  return [t.on.length < t.nodes.length ? `working on ${count(t.on.length)} of ${count(t.nodes.length)}` : "working", "ok"];
}

function header(name) {
  const th = el("th", "", name);
  th.scope = "col";
  return th;
}

function line() {
  const name = el("span", "two-lines");
  const state = el("td");
  const figures = heads.slice(2).map(() => el("td", "n"));
  return {
    root: el("tr", "", el("td", "", name), state, ...figures),
    update(n) {
      text(name, n.id);
      attribute(name, "title", n.id);
      text(state, n.broken ? "broken" : n.tier ? "working" : "off");
      attribute(state, "data-level", n.broken ? "bad" : "ok");
      const shown = n.tier ? [bytes(n.bytes), brief(n.hits ?? 0), brief(n.misses ?? 0), brief(n.errors ?? 0)] : ["–", "–", "–", "–"];
      figures.forEach((td, i) => text(td, shown[i]));
    },
  };
}
