// All pages work without this. With it the panel changes by itself, times
// tick, and the emulator's buttons leave what is being typed alone.
"use strict";

const behind = Number(document.body.dataset.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + behind;  // as the server has it

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  if (!minutes) return `${whole} s`;
  return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
}

function ago(at) {
  const seconds = now() - at;
  if (seconds < 1.5) return "just now";
  if (seconds < 3600) return `${duration(seconds)} ago`;
  return new Date(at * 1000).toLocaleString();
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  for (const each of document.querySelectorAll("[data-left]")) {
    if (!each.dataset.left) continue;
    const left = Number(each.dataset.left) - now();
    write(each, left > 0 ? (each.dataset.before ?? "") + duration(left) : each.dataset.over);
    if (left <= 0) each.closest(".state")?.classList.add("over");
  }
  for (const each of document.querySelectorAll("time[data-clock]")) {
    write(each, new Date(Number(each.dataset.clock) * 1000).toLocaleTimeString());
  }
  for (const each of document.querySelectorAll("time[data-at]")) write(each, ago(Number(each.dataset.at)));
  const waiting = document.querySelector("[data-reload]");
  if (waiting) waiting.hidden = false;
  if (waiting && !leaving && Number(waiting.dataset.reload) + 0.5 < now()) {
    leaving = true;  // once: going again would stop the page that is on its way
    location.replace(document.getElementById("again").href);
  }
}

let leaving = false;
tick();
setInterval(tick, 500);

// The panel

const panel = document.getElementById("panel");
const said = document.createElement("p");
said.className = "visually-hidden";
said.setAttribute("role", "status");
panel?.after(said);

const over = {
  401: "This login is not there any more",
  409: "This page is of another login than the one in use now; load it again",
  410: "This login is not there any more",
};

async function look() {
  const facts = panel.querySelector(".facts");
  const asked = new URLSearchParams({ seen: facts.dataset.digest, of: facts.dataset.of });
  const answer = await fetch(`${panel.dataset.url}?${asked}`);
  if (over[answer.status]) {
    write(facts.querySelector(".state"), over[answer.status]);
    write(said, over[answer.status]);
    facts.dataset.digest = "";  // should it come back, all of it is wanted
    return false;
  }
  if (answer.status !== 200) return answer.ok;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector(".facts");
  if (!fresh) return false;
  if (fresh.dataset.renewed !== facts.dataset.renewed) said.textContent = "The access token was renewed.";
  else if (fresh.dataset.state !== facts.dataset.state) said.textContent = fresh.querySelector(".state").textContent.trim();
  fresh.classList.add("changed");
  facts.replaceWith(document.adoptNode(fresh));
  tick();
  return true;
}

async function watch() {
  let pause = 2000;
  for (;;) {
    await new Promise((go) => setTimeout(go, pause));
    if (document.hidden) continue;
    let fine = false;
    try {
      fine = await look();
    } catch {
      // The server is being restarted; it is asked again, less often.
    }
    pause = fine ? 2000 : Math.min(pause * 2, 30000);
  }
}

if (panel) watch();

// Forms

// Sent twice, it would be two leads; but a form that got no answer is not lost.
function hold(form) {
  form.dataset.sent = setTimeout(() => release(form, "There is no answer yet."), 10000);
  for (const each of form.querySelectorAll("button")) each.disabled = true;
}

function release(form, why) {
  clearTimeout(form.dataset.sent);
  delete form.dataset.sent;
  for (const each of form.querySelectorAll("button")) each.disabled = false;
  form.querySelector("[role=status]")?.remove();
  if (!why) return;
  const hint = document.createElement("p");
  hint.setAttribute("role", "status");
  form.append(hint);
  hint.textContent = `${why} It may be done all the same: look in another tab before you send it again.`;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const action = form.getAttribute("action");
  if (form.hasAttribute("data-once")) {
    if (form.dataset.sent) event.preventDefault();
    else hold(form);
    return;
  }
  if (!action.startsWith("/emulator/")) return;
  event.preventDefault();
  const happened = document.getElementById("happened");
  try {
    const answer = await fetch(action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const { done, on } = await answer.json();
    happened.textContent = `${done}.`;
    for (const each of document.querySelectorAll(".strip [aria-pressed]")) {
      const name = each.form.getAttribute("action").split("/").pop();
      each.setAttribute("aria-pressed", String(on.includes(name)));
    }
    await look();
  } catch {
    happened.textContent = "That did not work; reload the page and try again.";
  }
});

// Back in the history, a form that was sent can be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) release(form);
});

// The account's menu closes by itself.
const menu = document.querySelector("details.account");
document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (menu?.open) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  // The browser stops loading, and tells nobody.
  for (const form of document.querySelectorAll("form[data-sent]")) release(form, "It was stopped.");
});
