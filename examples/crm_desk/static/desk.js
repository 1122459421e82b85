// The desk works without this. It keeps the panel current, sends each form once, and says what
// was pressed.

const panel = document.getElementById("panel");
if (panel) setInterval(async () => {
  const answer = await fetch("/panel").catch(() => null);
  if (answer?.ok) panel.innerHTML = await answer.text();
}, 2000);

document.addEventListener("submit", event => {
  const form = event.target;
  const said = document.getElementById("pressed");
  if (form.closest("aside")) said.textContent = `${event.submitter.textContent}: done.`;
  else if (form.dataset.sent) event.preventDefault();
  else form.dataset.sent = "yes";
});

addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
