// How the states of a task look.
import { attribute, text } from "./dom.js";

const levels = { completed: "ok", archived: "bad", retry: "warn", canceled: "none", active: "busy" };

export function chipOf(chip, state) {
  text(chip, state);
  attribute(chip, "class", `chip ${levels[state] ?? "none"}`);
}
