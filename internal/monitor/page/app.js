// The frame of every page: one stream of samples, and the views that draw them.
import { Curves } from "./curves.js";
import { attribute, text } from "./dom.js";
import { clock } from "./format.js";
import { listen } from "./live.js";

const by = (id) => document.getElementById(id);

// start opens the stream; each of views is called with every sample and the
// curves, of which the page's entry in page.go names those that it draws.
export function start(...views) {
  const curves = new Curves();
  listen(`/api/live?curves=${document.body.dataset.curves || "none"}`, {
    history(past) {
      curves.load(past);
    },
    sample(s) {
      if (s.redis.up) remember(s, curves);
      for (const view of views) view(s, curves);
    },
    state(state, sampled) {
      attribute(by("link"), "data-state", state);
      attribute(document.body, "data-stale", state !== "live"); // what is shown is no longer known
      text(by("link-state"), state);
      text(by("link-time"), sampled ? `last sample ${clock(sampled)}` : "");
    },
  });
}

// remember adds a sample to the curves, as the server does to its own.
function remember(s, curves) {
  curves.advance(Date.parse(s.at));
  curves.put("rate", "", s.total.per_second);
  for (const k of s.kinds) curves.put("rate", k.kind, k.per_second);
  for (const q of s.queues) {
    curves.put("waiting", q.queue, q.waiting);
    curves.put("wait", q.queue, q.wait_p95_seconds);
  }
  for (const n of s.nodes.filter((n) => n.up)) {
    curves.put("rss", n.id, n.rss_bytes / (1 << 20));
    curves.put("heap", n.id, n.heap_live_bytes / (1 << 20));
    for (const l of n.leaks ?? []) curves.put("live", `${l.kind}@${n.id}`, l.live_bytes / (1 << 20));
  }
  const known = new Set(s.nodes.map((n) => n.id));
  curves.retain("rss", known);
  curves.retain("heap", known);
  curves.retain("live", new Set(s.nodes.flatMap((n) => (n.leaks ?? []).map((l) => `${l.kind}@${n.id}`))));
}
