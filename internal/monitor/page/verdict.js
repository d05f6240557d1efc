// The yard's health in one sentence, and everything that is wrong below it.
import { el, text, attribute, keyed } from "./dom.js";
import { clock } from "./format.js";

export function verdict(root) {
  const sentence = root.querySelector(".sentence");
  const list = keyed(root.querySelector(".alerts"), alert);
  const announce = document.getElementById("announce");
  let told = null;
  return (s) => {
    const idle = s.verdict.level === "ok" && s.total.nodes_up === 0;
    attribute(root, "data-level", idle ? "idle" : s.verdict.level);
    text(sentence, s.verdict.text);
    list(s.alerts, (a) => `${a.rule} ${a.subject ?? ""}`);
    // Figures in the sentence change with every sample; what is read aloud
    // changes only with what is wrong.
    const wrong = s.alerts.map((a) => `${a.level} ${a.rule} ${a.subject ?? ""}`).join("|");
    if (told !== null && told !== wrong) text(announce, s.verdict.text);
    told = wrong;
    const n = s.alerts.length;
    const title = document.body.dataset.title;
    document.title = n ? `(${n}) ${s.verdict.level === "bad" ? "Trouble" : "Attention"} – ${title} – Jobyard` : `${title} – Jobyard`;
  };
}

function alert() {
  const chip = el("span", "chip");
  const words = el("strong", "words");
  const detail = el("span", "words detail");
  const since = el("time", "muted");
  return {
    root: el("li", "", chip, words, detail, since),
    update(a) {
      text(chip, a.level === "bad" ? "trouble" : "attention");
      attribute(chip, "class", `chip ${a.level}`);
      text(words, a.text);
      text(detail, a.detail);
      const at = new Date(a.since);
      attribute(since, "datetime", a.since);
      text(since, `since ${clock(at)}`);
    },
  };
}
