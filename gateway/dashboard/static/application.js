// The application: who may spend what, what became of each request, receipts beside claims.

import { get } from "/assets/shared/api.js";
import { bar, spark } from "/assets/shared/chart.js";
import { h } from "/assets/shared/dom.js";
import { brief, clock, count, duration, fine, money, scaled, symbol } from "/assets/shared/format.js";
import { badge, figure, figures, panel, shortId, supplierLink, table } from "/assets/shared/parts.js";
import { askToken, start } from "/assets/shared/shell.js";
import { frame } from "./frame.js";

async function load() {
  const { logged_in: isOpen } = await get("me");
  return isOpen ? get("application") : { isClosed: true };
}

function view(data) {
  if (data.isClosed) {
    return h("section", { class: "blank" },
      h("h1", {}, "For the operator"),
      h("p", {}, "Keys, spending and requests are shown to whoever has the gateway’s admin token. The other pages need none."),
      h("button", { type: "button", class: "primary", onclick: askToken }, "Log in"));
  }
  const { requests, days } = data;
  const spent = data.keys.reduce((sum, each) => sum + BigInt(each.spent.this_month ?? 0), 0n);
  const live = data.keys.filter((each) => each.revoked_at === null).length;
  return [
    h("div", { class: "title" }, h("h1", {}, "Application"),
      h("p", {}, "What this gateway’s API keys asked for, and what it came to.")),
    figures(
      figure("Spent this month", fine(spent), {
        unit: symbol(), note: `by ${count(live)} ${live === 1 ? "key" : "keys"}`,
        drawing: spark(days.map((each) => Number(each.cost_millionths)), "Cost by day", { width: 176, height: 28 }),
      }),
      figure("Requests", count(requests.requests), {
        note: `${count(requests.in_flight)} in flight`,
        drawing: spark(days.map((each) => each.requests), "Requests by day", { width: 176, height: 28 }),
      }),
      figure("Paid", count(requests.paid), { note: "receipted" }),
      figure("Refused or refunded", count(requests.refused + requests.refunded), { note: "nothing charged" }),
      figure("Failed", count(requests.failed), { note: "nobody answered well", kind: requests.failed ? "lost" : "" })),
    h("p", { class: "sum" }, bar([[requests.paid, "paid"], [requests.refunded, "open"], [requests.refused, "spent"], [requests.failed, "voided"]],
      `${requests.paid} paid, ${requests.refunded} refunded, ${requests.refused} refused, ${requests.failed} failed`)),
    keys(data.keys),
    asked(data.recent, data.keys),
    compared(data.compared, data.receipts_waiting, data.replicas),
  ];
}

function keys(rows) {
  return panel("Keys", { note: `spending in ${symbol()}; made and revoked by gateway keys` }, table("API keys", [
    { name: "Key", cell: (row) => [h("span", { class: "name" }, row.name), h("span", { class: "sub" }, `${row.shown}…`)] },
    { name: "State", wide: true, cell: (row) => state(row) },
    { name: "Answers", number: true, wide: true, cell: (row) => count(row.usage.requests) },
    { name: "Tokens", number: true, wide: true, cell: (row) => brief(BigInt(row.usage.input_tokens) + BigInt(row.usage.output_tokens)) },
    { name: "Today", number: true, cell: (row) => budget(row.spent.today, row.daily_budget) },
    { name: "This month", number: true, cell: (row) => budget(row.spent.this_month, row.monthly_budget) },
  ], rows, { empty: "There is no API key: gateway keys create NAME.", key: (row) => row.id }));
}

function state(row) {
  if (row.revoked_at !== null) return badge("dropped", "revoked");
  if (row.expires_at !== null && row.expires_at * 1000 < Date.now()) return badge("dropped", "expired");
  return badge("good", "live");
}

function budget(spent, limit) {
  const amount = BigInt(spent ?? 0);
  if (limit === null) return fine(amount);
  const left = BigInt(limit) - amount;
  return [fine(amount), h("span", { class: "sub" }, "of ", fine(limit)),
    bar([[scaled(amount), "spent"], [Math.max(0, scaled(left)), "rest"]], `${fine(amount)} of ${money(limit)} spent`)];
}

const WORDS = { paid: "paid", in_flight: "wait", refunded: "new", refused: "aside", failed: "fault" };

function asked(rows, keys) {
  const names = new Map(keys.map((each) => [each.id, each.name]));
  return panel("Requests", { note: "of late, the newest first" }, table("Requests", [
    { name: "Request", cell: (row) => [h("span", { class: "id", title: row.id }, `${row.id.slice(0, 12)}…`), h("span", { class: "sub" }, clock(row.created))] },
    { name: "Key", wide: true, cell: (row) => h("span", { class: "name" }, names.get(row.key) ?? shortId(row.key)) },
    { name: "Model", wide: true, cell: (row) => h("span", { class: "name" }, row.model) },
    { name: "Answered by", cell: answered },
    { name: "Disposition", cell: (row) => [badge(WORDS[row.disposition] ?? "new", row.disposition.replace("_", " ")), row.code && h("span", { class: "sub" }, row.code)] },
    { name: "Tokens", number: true, wide: true, cell: tokens },
    { name: "Receipted", number: true, wide: true, cell: receipted },
    { name: "Took", number: true, wide: true, cell: (row) => (row.latency_ms === null ? "–" : duration(row.latency_ms)) },
    { name: "Cost", number: true, cell: (row) => fine(row.cost) },
  ], rows, { empty: "No request has been made since the gateway started.", key: (row) => row.id }));
}

function answered(row) {
  const last = row.tries.at(-1);
  if (!last) return "nobody";
  const tries = row.tries.length > 1 ? `after ${row.tries.length - 1} other` : "";
  return [supplierLink(last.supplier), tries && h("span", { class: "sub" }, tries)];
}

function tokens(row) {
  const last = row.tries.findLast((each) => each.is_answer) ?? row.tries.at(-1);
  return last ? `${count(last.input_tokens)} + ${count(last.output_tokens)}` : "–";
}

function receipted(row) {
  if (row.recounts.length === 0) return "–";
  const sum = (pick) => row.recounts.reduce((all, each) => all + pick(each), 0);
  const found = sum((each) => each.units_receipted), signed = sum((each) => each.units);
  return found === signed ? count(found) : [count(found), h("span", { class: "sub bad" }, `of ${count(signed)} signed`)];
}

function compared(rows, waiting, replicas) {
  const empty = replicas > 1
    ? `This is one of ${replicas} replicas and knows its own receipts alone: gateway reconcile --data-dir compares those of all.`
    : "Nothing to compare yet: the first whole session since the gateway started must be over.";
  return panel("Reconciliation", { note: `receipts of these requests beside their claims; ${count(waiting)} receipts not acknowledged` },
    table("Reconciliation", [
      { name: "Session", cell: (row) => count(row.session) },
      { name: "Supplier", cell: (row) => supplierLink(row.supplier) },
      { name: "Receipts", number: true, wide: true, cell: (row) => count(row.receipts) },
      { name: "Units receipted", number: true, cell: (row) => count(row.receipted) },
      { name: "Units claimed", number: true, cell: (row) => (row.claimed === null ? "–" : count(row.claimed)) },
      { name: "Chance allows", number: true, wide: true, cell: (row) => `± ${count(row.error_max)}` },
      { name: "Value", number: true, wide: true, cell: (row) => fine(row.value) },
      { name: "Finding", cell: (row) => badge(row.is_flagged ? "fault" : row.finding === "agrees" ? "ok" : "new", row.finding) },
    ], rows, {
      empty,
      key: (row) => `${row.session}${row.supplier}${row.service}`,
    }));
}

start({ frame, load, view });
