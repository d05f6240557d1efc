// Figures as people read them. Every function returns text.

const grouped = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

const dayFormat = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

export const count = (n) => grouped.format(n);

// brief shortens what has no room for all its digits.
export const brief = (n) => (n < 10000 ? grouped.format(n) : compact.format(n));

export const rate = (n) => (n === 0 ? "0" : n < 10 ? n.toFixed(1) : grouped.format(Math.round(n)));

export const percent = (part) => `${Math.round(100 * part)} %`;

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export const mebibytes = (n) => bytes(n * 1024 * 1024);

// span writes seconds in their two largest units.
export function span(s) {
  if (s < 0.05) return "0 s";
  if (s < 10) return `${s.toFixed(1)} s`;
  s = Math.round(s);
  if (s < 120) return `${s} s`;
  if (s < 3600) return two(s, 60, "min", 1, "s");
  if (s < 172800) return two(s, 3600, "h", 60, "min");
  return two(s, 86400, "d", 3600, "h");
}

// fine writes short times in milliseconds.
export const fine = (s) => (s < 0.0005 ? "0 ms" : s < 0.995 ? `${Math.max(1, Math.round(1000 * s))} ms` : span(s));

function two(s, large, largeName, small, smallName) {
  const rest = Math.floor((s % large) / small);
  return `${Math.floor(s / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

export const clock = (date) => clockFormat.format(date);

// moment writes a time of today without its day.
export function moment(date) {
  return date.toDateString() === new Date().toDateString() ? clockFormat.format(date) : dayFormat.format(date);
}
