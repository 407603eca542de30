// The playground: a chat, and beside each answer its receipt and what of it can be checked.
// The key stays in this page's memory: it is neither stored nor put into an address.

import { draw, h } from "/assets/shared/dom.js";
import { get } from "/assets/shared/api.js";
import { count, duration, fine, short, symbol } from "/assets/shared/format.js";
import { badge, supplierLink } from "/assets/shared/parts.js";
import { start } from "/assets/shared/shell.js";
import { frame } from "./frame.js";
import { readEvents, signedBytes } from "./stream.js";

const API = "/dashboard/api/";
const CHECKS = {
  bytes: "These are the bytes it signed", answer: "The supplier signed the answer", recount: "The gateway counted the same",
  receipt: "The gateway receipted it", delivery: "The supplier has the receipt", claim: "Claimed and paid on the chain",
  bill: "The bill holds",
};
const ENDED = new Set(["paid", "refunded", "refused", "failed"]);
const WATCHED = 6;

const bench = { key: "", models: [], model: "", most: 200, turns: [], isBusy: false, wrong: "" };
let redraw = () => {};

const bearer = () => ({ authorization: `Bearer ${bench.key}` });

const load = () => get("market");

function view(data, pulse, again) {
  redraw = again;
  return [
    h("div", { class: "title" }, h("h1", {}, "Playground"),
      h("p", {}, "Ask a model of this market. Every answer is signed by its supplier, counted again by the gateway, receipted, claimed and paid; each of these is checked here as it happens.")),
    h("div", { class: "bench" }, setup(), turns(), say()),
  ];
}

function setup() {
  return h("form", { class: "setup", onsubmit: (event) => { event.preventDefault(); findModels(); } },
    h("div", {}, h("label", { for: "key" }, "API key"), h("input", {
      type: "password", id: "key", autocomplete: "off", spellcheck: "false", placeholder: "lode_sk_…", "data-kept": "", "data-key": "key",
      oninput: (event) => { bench.key = event.target.value.trim(); },
      onchange: findModels,
    })),
    h("div", {}, h("label", { for: "model" }, "Model"), h("select", {
      id: "model", disabled: bench.models.length === 0, onchange: (event) => { bench.model = event.target.value; },
    }, bench.models.length ? bench.models.map((each) => h("option", { value: each, selected: each === bench.model }, each)) : h("option", {}, "needs a key"))),
    h("div", {}, h("label", { for: "most" }, "Tokens at most"), h("input", {
      type: "number", id: "most", min: "1", max: "100000", value: String(bench.most), "data-kept": "", "data-key": "most",
      oninput: (event) => { bench.most = Number(event.target.value) || 200; },
    })));
}

async function findModels() {
  if (!bench.key) return;
  const answer = await fetch(API + "models", { headers: bearer() });
  const value = await answer.json();
  bench.wrong = answer.ok ? "" : value.error.message;
  bench.models = answer.ok ? value.data.map((each) => each.id) : [];
  bench.model = bench.models.includes(bench.model) ? bench.model : bench.models[0] ?? "";
  show();
}

function turns() {
  return h("div", { class: "turns", "aria-live": "polite" }, bench.turns.map((turn, place) =>
    h("article", { class: "turn", "data-key": String(place) },
      h("div", {},
        h("p", { class: "who" }, "You"), h("p", { class: "said" }, turn.asked),
        h("p", { class: "who" }, turn.model), h("p", { class: "said" }, turn.answer || (turn.wrong ? "" : "…")),
        turn.wrong && h("p", { class: "wrong", role: "alert" }, turn.wrong)),
      receipt(turn))));
}

function receipt(turn) {
  if (!turn.story) {
    return h("aside", { class: "receipt" }, h("h2", {}, "Receipt"), h("p", {}, turn.isOver ? "none" : "comes with the answer"));
  }
  const { story } = turn;
  const tried = story.tries.findLast((each) => each.is_answer) ?? story.tries.at(-1);
  const paid = story.bill.receipts.at(-1);
  return h("aside", { class: "receipt", "aria-label": "Receipt" },
    h("h2", {}, "Receipt"),
    h("dl", { class: "facts" },
      fact("Request", h("span", { class: "id", title: story.id }, short(story.id))),
      tried && fact("Supplier", supplierLink(tried.supplier)),
      tried && fact("Tokens", `${count(tried.input_tokens)} in, ${count(tried.output_tokens)} out`),
      fact("Units", count(story.bill.units)),
      fact("Cost", `${fine(story.cost)} ${symbol()}`),
      tried && fact("Took", `${duration(tried.latency_ms)}${tried.first_byte_ms ? `, first byte ${duration(tried.first_byte_ms)}` : ""}`),
      paid && fact("Secret", h("span", { class: "id", title: paid.secret }, short(paid.secret)))),
    h("ul", { class: "checks" }, verdicts(turn).map((each) =>
      h("li", { "data-key": each.name },
        badge(each.holds === true ? "ok" : each.holds === false ? "fault" : "wait", CHECKS[each.name] ?? each.name),
        h("small", {}, each.says)))));
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function verdicts(turn) {
  const bytes = turn.digest === null
    ? { name: "bytes", holds: null, says: turn.isOver ? "a browser hashes only on https or localhost" : "the answer is not whole yet" }
    : checkBytes(turn);
  return [bytes, ...turn.story.verdicts];
}

/** What arrived here against what the supplier signed: the one check that needs no trust in the gateway. */
function checkBytes(turn) {
  const signed = turn.story.bill.receipts.at(-1)?.response.body_hash;
  if (!signed) return { name: "bytes", holds: null, says: "nothing signed is here yet" };
  return { name: "bytes", holds: signed === turn.digest, says: `sha256 ${short(turn.digest)}, computed in this page` };
}

function say() {
  const field = h("textarea", {
    id: "say", rows: "3", placeholder: "Ask something", "data-kept": "", "data-key": "say",
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        ask();
      }
    },
  });
  return h("form", { class: "say", "data-key": "form", onsubmit: (event) => { event.preventDefault(); ask(); } },
    h("label", { for: "say" }, "Message (Enter sends, Shift and Enter breaks the line)"), field,
    h("div", { class: "row" },
      h("button", { type: "submit", class: "primary", disabled: bench.isBusy || !bench.model }, bench.isBusy ? "Answering…" : "Send"),
      h("span", { class: "wrong", role: "alert" }, bench.wrong)));
}

async function ask() {
  const field = document.getElementById("say");
  const text = field.value.trim();
  if (!text || bench.isBusy || !bench.model) return;
  field.value = "";
  bench.isBusy = true;
  const turn = { asked: text, answer: "", model: bench.model, wrong: "", story: null, digest: null, isOver: false, id: "" };
  bench.turns.push(turn);
  show();
  try {
    await answer(turn);
  } catch {
    turn.wrong = "The gateway does not answer.";
  }
  turn.isOver = true;
  bench.isBusy = false;
  show();
  watch(turn);
}

async function answer(turn) {
  const messages = bench.turns.flatMap((each) =>
    each === turn || !each.answer ? (each === turn ? [{ role: "user", content: each.asked }] : [])
      : [{ role: "user", content: each.asked }, { role: "assistant", content: each.answer }]);
  const response = await fetch(API + "chat", {
    method: "POST",
    headers: { ...bearer(), "content-type": "application/json", "x-lode-dashboard": "1" },
    // usage is asked for because the supplier signs it too: without it these are not all its bytes
    body: JSON.stringify({ model: turn.model, messages, stream: true, stream_options: { include_usage: true }, max_tokens: bench.most }),
  });
  turn.id = response.headers.get("x-request-id") ?? "";
  if (!response.ok || !response.body) {
    turn.wrong = (await response.json()).error.message;
    return;
  }
  const received = await readEvents(response.body, (event) => {
    if (event.error) turn.wrong = event.error.message;
    turn.answer += event.choices?.[0]?.delta?.content ?? "";
    show();
  });
  turn.digest = await hash(signedBytes(received));
}

async function hash(text) {
  if (!crypto.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return "0x" + [...digest].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** Follows a request until its claim is settled: soon at first, then with the blocks. */
async function watch(turn) {
  for (let tries = 0; turn.id && tries < 600; tries += 1) {
    const response = await fetch(`${API}requests/${turn.id}`, { headers: bearer() });
    if (response.ok) {
      turn.story = await response.json();
      show();
      if (isSettled(turn.story)) return;
    } else if (response.status === 404) {
      return;
    }
    if (bench.turns.length - bench.turns.indexOf(turn) > WATCHED) return;
    await new Promise((wake) => setTimeout(wake, tries < 10 ? 500 : 3000));
  }
}

function isSettled(story) {
  if (!ENDED.has(story.disposition)) return false;
  return story.disposition !== "paid" || story.verdicts.every((each) => each.holds !== null);
}

function show() {
  const place = document.querySelector(".bench");
  if (place) draw(place, setup(), turns(), say());
  else redraw();
}

start({ frame, load, view });
