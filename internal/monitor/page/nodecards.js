// One card per node: its memory against its limit, its slots, its figures.
import { el, text, attribute, keyed, meter, facts, level } from "./dom.js";
import { chart } from "./chart.js";
import { brief, bytes, count, mebibytes, percent, rate, span } from "./format.js";
import { slots } from "./slots.js";

// nodes draws the cards; more(node), where it is given, returns parts that are
// added to each and updated with it.
export function nodes(root, more) {
  const cards = keyed(root, (n) => card(n, more?.(n)));
  const empty = document.getElementById("no-nodes");
  const hidden = document.getElementById("hidden-nodes");
  const none = document.getElementById("nodes-none");
  const legend = document.querySelector("#nodes-head .legend");
  const tally = document.getElementById("nodes-count");
  return (s, curves) => {
    empty.hidden = s.nodes.length > 0 || !s.redis.up;
    none.hidden = s.nodes.length > 0;
    legend.hidden = s.nodes.length === 0;
    hidden.hidden = !s.hidden_nodes;
    text(hidden, `${count(s.hidden_nodes ?? 0)} more nodes are not shown.`);
    const up = s.redis.up ? `${count(s.total.nodes_up)} of ${count(s.nodes.length)} up` : "as of the last sample";
    text(tally, s.nodes.length ? up : "");
    text(document.getElementById("mark-label"), `${percent(s.marks.memory)} of the limit`);
    cards(s.nodes, (n) => n.id, s, curves);
  };
}

// condition is a node's state in a word, and how bad that is.
function condition(n, s) {
  if (!s.redis.up) return ["not known", "none"];
  if (n.state === "stopped") return ["stopped", "none"];
  if (!n.up) return [`silent for ${span(n.age_seconds)}`, "bad"];
  if (n.state === "draining" || n.state === "drained") return [n.state, "warn"];
  if (n.budget?.slot_rest > 0) return ["slowed by its processors", "warn"];
  return [n.state === "running" ? "up" : n.state, "ok"];
}

const figuresOf = ["tasks/s", "CPU", "goroutines", "open files", "isolation", "uptime", "done", "failed"];

function card(node, more) {
  const state = el("span", "chip");
  const where = el("p", "where muted");
  const memory = el("p", "memory");
  const picture = chart(`${node.id}, memory`, "tall", ["rss", "heap"], 80, mebibytes);
  const bar = meter(`${node.id}: memory against its limit`);
  bar.root.classList.add("marked");
  bar.fill.classList.add("stacked");
  const layers = keyed(bar.fill, layer);
  const kinds = el("div", "node-kinds");
  const rows = keyed(kinds, (k) => {
    const view = slots(`${k.kind}: busy slots`, k.kind);
    return { root: view.root, update: (k) => view.update(k.busy, k.slots) };
  });
  const figures = facts("facts four", figuresOf);
  const title = el(more ? "h2" : "h3", "", node.id);
  title.title = node.id;
  const root = el("article", "card node", el("header", "", title, state), where, memory, bar.root, picture.root, kinds, figures.root, ...(more?.parts ?? []));
  root.setAttribute("aria-label", `Node ${node.id}`);
  return {
    root,
    update(n, s, curves) {
      const [word, bad] = condition(n, s);
      text(state, word);
      attribute(state, "class", `chip ${bad}`);
      attribute(root, "data-up", n.up);
      text(where, [n.host, n.pid ? `process ${n.pid}` : "", n.version].filter(Boolean).join(" · "));
      showMemory(n, s, curves);
      const taken = s.kinds.filter((k) => n.kinds[k.kind]);
      rows(taken.map((k) => ({ kind: k.kind, ...n.kinds[k.kind] })), (k) => k.kind);
      showFigures(n, s);
      more?.update(n, s);
    },
  };

  function showMemory(n, s, curves) {
    const limit = n.memory_limit_bytes;
    const part = limit ? n.rss_bytes / limit : 0;
    const words = limit
      ? `${bytes(n.rss_bytes)} of ${bytes(limit)}, ${percent(part)}`
      : `${bytes(n.rss_bytes)}, no limit is known`;
    const runners = n.runners ?? [];
    const theirs = runners.reduce((sum, r) => sum + r.rss_bytes, 0);
    text(memory, runners.length ? `${words}; ${bytes(theirs)} in ${count(runners.length)} ${runners.length === 1 ? "runner" : "runners"}` : words);
    layers([{ pid: 0, rss_bytes: Math.max(0, n.rss_bytes - theirs) }, ...runners], (l) => l.pid);
    attribute(memory, "data-level", n.up ? level(part, s.marks.memory) : "none");
    bar.root.hidden = !limit;
    bar.update(n.rss_bytes, limit, s.marks.memory, words);
    picture.update(curves, [curves.get("rss", n.id), curves.get("heap", n.id)], {
      most: limit / (1 << 20), warn: limit ? s.marks.memory : 0,
      words: `resident ${bytes(n.rss_bytes)}, live heap ${bytes(n.heap_live_bytes)}`,
    });
  }

  function showFigures(n, s) {
    const sum = (what) => Object.values(n.kinds).reduce((t, k) => t + k[what], 0);
    figures.set("tasks/s", n.up ? rate(n.per_second) : "–");
    figures.set("CPU", n.up ? `${Math.round(n.cpu_percent)} %` : "–");
    figures.set("goroutines", brief(n.goroutines));
    figures.set("open files", brief(n.open_files));
    figures.set("isolation", n.isolation || "–");
    figures.mark("isolation", n.isolation === "full" ? "ok" : "warn");
    figures.set("uptime", n.up ? span((Date.parse(s.sampled_at) - Date.parse(n.started_at)) / 1000) : "–");
    figures.set("done", brief(sum("completed")));
    figures.set("failed", brief(sum("failed")));
  }
}

// layer is the part of a node's memory that one process has: the worker itself
// first, then its runners.
function layer() {
  const root = el("i");
  return { root, update: (l) => { root.style.flexGrow = l.rss_bytes / (1 << 20); } };
}
