import { start } from "./app.js";
import { text } from "./dom.js";
import { span } from "./format.js";
import { kinds } from "./kinds.js";
import { nodes } from "./nodecards.js";
import { totals } from "./totals.js";
import { verdict } from "./verdict.js";

const by = (id) => document.getElementById(id);

start(verdict(by("verdict")), totals(by("totals")), kinds(by("kinds")), nodes(by("nodes")), (_, curves) => {
  text(by("work-span"), `the last ${span(curves.seconds)}`);
  text(by("step"), `${curves.step} s`);
});
