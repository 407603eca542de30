// The frame of every page: marks, navigation, the session's ruler, the theme, logging in; and the
// loop that keeps a page fresh: it is drawn again when a live update says that something is new.

import { follow, get, post, Refused } from "./api.js";
import { draw, h, s } from "./dom.js";
import { count, useToken } from "./format.js";

const REFRESH_MS = 2000;
const THEMES = { "": "System", light: "Light", dark: "Dark" };

const state = { pulse: null, isUp: null, me: { logged_in: false, can_log_in: false }, frame: null };

/** Starts a page. `frame` names its links; `load` gives its data, `view` draws it in `main`. */
export async function start({ frame, load, view }) {
  state.frame = frame;
  const top = h("header", { class: "top" });
  const main = h("main", { id: "main", tabindex: "-1" });
  document.body.append(h("a", { class: "skip", href: "#main" }, "Skip to content"), top, main, foot());
  const page = { main, top, load, view, data: null, last: 0, isBusy: false, isStale: false };
  drawTop(page);
  get("me").then((me) => {
    state.me = me;
    drawTop(page);
  });
  await refresh(page);
  follow(
    (pulse) => {
      state.pulse = pulse;
      drawTop(page);
      show(page);
      schedule(page);
    },
    (isUp) => {
      state.isUp = isUp;
      drawTop(page);
    },
  );
}

function schedule(page) {
  page.isStale = true;
  if (page.isBusy || document.hidden) return;
  const wait = Math.max(0, page.last + REFRESH_MS - performance.now());
  page.isBusy = true;
  setTimeout(async () => {
    page.isBusy = false;
    page.isStale = false;
    await refresh(page);
    if (page.isStale) schedule(page);
  }, wait);
}

/** Asks for the page's data again and draws it. */
async function refresh(page) {
  page.last = performance.now();
  try {
    page.data = await page.load();
    useToken(page.data?.token);
    page.failure = null;
  } catch (error) {
    page.failure = error instanceof Refused ? error : new Refused(0, "the node does not answer");
  }
  show(page);
}

function show(page) {
  if (page.failure && !page.data) {
    draw(page.main, h("section", { class: "blank" }, h("h1", {}, "Nothing to show"), h("p", {}, `${page.failure.message}.`)));
    return;
  }
  if (page.data) draw(page.main, page.view(page.data, state.pulse, () => refresh(page)));
}

function drawTop(page) {
  const { frame, pulse, isUp } = state;
  const clock = pulse?.clock ?? page.data?.clock;
  draw(
    page.top,
    h("a", { class: "mark", href: "/" }, mark(), h("span", {}, "Lode"), " ", h("small", {}, frame.role)),
    h("nav", { "aria-label": "Pages" }, frame.links.map(([href, text]) => link(href, text))),
    h("div", { class: "tools" }, line(isUp), themes(page), frame.hasLogin && login(page)),
    clock ? ruler(clock, pulse?.paused) : h("div", { class: "ruler" }),
  );
}

function link(href, text) {
  const here = href === "/" ? location.pathname === "/" : location.pathname.startsWith(href);
  return h("a", { href, "aria-current": here ? "page" : null }, text);
}

function mark() {
  return s("svg", { viewBox: "0 0 32 24", "aria-hidden": "true" }, s("path", { d: "M3 20 10 4l6 10 4-5 6 11" }));
}

function line(isUp) {
  const text = isUp === null ? "connecting" : isUp ? "live" : "reconnecting";
  return h("span", { class: `line ${isUp ? "up" : "down"}`, role: "status" }, h("i", { "aria-hidden": "true" }), text);
}

function themes(page) {
  const now = document.documentElement.dataset.theme ?? "";
  const next = { "": "light", light: "dark", dark: "" }[now];
  const change = () => {
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem("lode-theme", next);
    } catch {
      // it lasts for this page then
    }
    drawTop(page);
  };
  return h("button", { type: "button", class: "quiet", onclick: change, "aria-label": `Theme: ${THEMES[now]}; change to ${THEMES[next]}` }, THEMES[now]);
}

function login(page) {
  if (!state.me.can_log_in) return null;
  if (state.me.logged_in) {
    const leave = async () => {
      await post("logout");
      location.reload();
    };
    return h("button", { type: "button", class: "quiet", onclick: leave }, "Log out");
  }
  return h("button", { type: "button", class: "quiet", onclick: () => askToken(page) }, "Log in");
}

/** Asks for the admin token in a dialog; the page is loaded again when it was right. */
export function askToken() {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const dialog = h("dialog", { "aria-labelledby": "login-title" });
  const send = async (event) => {
    event.preventDefault();
    try {
      await post("login", { token: field.value });
      location.reload();
    } catch (error) {
      wrong.textContent = `${error.message}.`;
      field.select();
    }
  };
  dialog.append(
    h("form", { onsubmit: send },
      h("h2", { id: "login-title" }, "Log in"),
      h("p", {}, "With the gateway's admin token, ", h("code", {}, "control.admin_token"), "."),
      h("input", { type: "text", hidden: true, autocomplete: "username", value: "operator", readonly: true }),
      h("label", { for: "token" }, "Admin token"), field, wrong,
      h("div", { class: "row" },
        h("button", { type: "submit", class: "primary" }, "Log in"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** The session as a ruler: a tick for each block, and where the head is. */
function ruler(clock, isPaused) {
  const { length, at } = clock;
  const ticks = Math.min(length, 240);
  const done = ((at + 1) / length) * 100;
  const text = clock.session < 0
    ? `Block ${count(clock.block)}; the first session has not begun`
    : `Session ${count(clock.session)}`;
  return h("div", { class: "ruler" },
    h("p", {},
      h("b", { "data-live": "" }, text),
      h("span", {}, "epoch ", count(Math.max(0, clock.epoch))),
      h("span", {}, "block ", h("span", { "data-live": "" }, count(clock.block))),
      h("span", {}, `${Math.min(at + 1, length)} of ${length}`),
      isPaused && h("strong", { class: "bad" }, "new sessions are paused")),
    h("div", { class: "ticks", "aria-hidden": "true", style: { "--done": `${done}%`, "--ticks": String(ticks) } }));
}

function foot() {
  return h("footer", {},
    h("p", {}, "Drawn from the chain’s events and what this node itself observed. Nothing here comes from another host. "),
    h("p", {}, "The same figures as JSON: ", h("code", {}, "/dashboard/api/"), "."));
}
