// A link on another site comes here even to those who are signed in, because
// their cookie stays at home. A call from this page has it.
const { next } = document.body.dataset;
if (next && !document.querySelector("[role=alert]")) {
  const answer = await fetch("/login/session").catch(() => null);
  if (answer?.status === 200) location.replace(next);
}
