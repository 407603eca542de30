// The supplier's page: what it served and what came of it, its money, its engine.

import { get } from "/assets/shared/api.js";
import { spark } from "/assets/shared/chart.js";
import { h } from "/assets/shared/dom.js";
import { brief, clock, count, fine, money, percent, scaled, short, symbol } from "/assets/shared/format.js";
import { badge, figure, figures, panel, shortId, table } from "/assets/shared/parts.js";
import { start } from "/assets/shared/shell.js";

const frame = { role: "supplier", hasLogin: false, links: [["/", "Node"], ["/metrics", "Metrics"]] };

const load = () => get("node");

function view(data, pulse) {
  const now = { ...data, ...(pulse ?? {}) };
  const ended = data.sessions.filter((each) => each.outcome !== "open" && each.outcome !== "claimed").reverse();
  return [
    h("div", { class: "title" },
      h("h1", {}, "This supplier"),
      h("p", {}, h("code", {}, data.supplier))),
    figures(
      figure("Paid", money(data.funnel.paid), {
        unit: symbol(), note: `${count(ended.length)} sessions closed lately`,
        drawing: spark(ended.map((each) => scaled(each.paid)), "Paid by session", { width: 176, height: 28 }),
      }),
      figure("On its way", money(data.funnel.pending), { unit: symbol(), note: `${count(now.open_sessions)} sessions open` }),
      figure("Served", brief(data.funnel.served_units), {
        unit: "compute units", note: `${count(data.funnel.relays)} relays`,
        drawing: spark(ended.map((each) => Number(each.served_units)), "Units served by session", { width: 176, height: 28 }),
      }),
      figure("Being served", count(now.open_relays), { unit: now.open_relays === 1 ? "relay" : "relays" }),
      enginesFigure(now.engines)),
    now.engines.length > 1 ? panel("Engines", { note: "as each was last seen" }, engines(now.engines)) : null,
    h("div", { class: "halves" },
      panel("Funnel", { note: "from served to paid, and each reason between" }, funnel(data.funnel)),
      panel("Funds", { note: `as of block ${count(data.holdings_block)}` }, funds(data.holdings))),
    panel("Sessions", { note: "open ones first" }, sessions(data.sessions)),
    panel("Sent", { note: "the last transactions of settlement" }, actions(data.actions)),
  ];
}

function enginesFigure(found) {
  const up = found.filter((each) => each.up).length;
  if (found.length === 1) return figure("Engine", up ? "up" : "down", { note: engine(found[0]), kind: up ? "" : "lost" });
  return figure("Engines", `${count(up)} of ${count(found.length)} up`, {
    note: found.filter((each) => !each.up).map((each) => `${each.name} is down`).join(", ") || "every service is served",
    kind: up === found.length ? "" : "lost",
  });
}

function engines(rows) {
  return table("Engines", [
    { name: "Engine", cell: (row) => row.name },
    { name: "Model", wide: true, cell: (row) => row.model },
    { name: "State", cell: (row) => badge(row.up ? "paid" : "voided", row.up ? row.phase : "down") },
    { name: "Relays", number: true, cell: (row) => `${count(row.relays)} of ${count(row.limit)}` },
    { name: "Says", wide: true, cell: (row) => engine(row) },
  ], rows, { key: (row) => row.name });
}

function engine(found) {
  const words = [];
  if (found.running !== undefined) words.push(`${found.running} running`, `${found.waiting} waiting`, `KV cache ${percent(found.kv_cache_used, 1, 0)}`);
  if (found.restarts) words.push(`restarted ${count(found.restarts)} times`);
  return words.join(", ") || "says no more of itself";
}

const STEPS = [
  ["served", "Served", null, ""],
  ["receipted", "Receipted", "unreceipted", "never receipted"],
  ["payable", "Payable", "sampling", "taken by the coin"],
  ["claimed", "Claimed", "unclaimed", "not worth a claim, or too late"],
  ["net", "Net of shares", "shares", "to source, gateway and protocol"],
  ["paid", "Paid", "lost", "claimed and not paid"],
];

function funnel(sums) {
  const rows = [];
  let left = BigInt(sums.served);
  for (const [key, name, reason, words] of STEPS) {
    const gone = reason ? BigInt(sums[reason]) : 0n;
    left -= gone;
    if (key === "paid") left -= BigInt(sums.pending);
    rows.push({ key, name, amount: left, gone, words, pending: key === "paid" ? BigInt(sums.pending) : 0n });
  }
  const most = rows.reduce((top, each) => (each.amount > top ? each.amount : top), 1n);
  return table("Funnel", [
    { name: "Stage", cell: (row) => row.name },
    { name: "", wide: true, cell: (row) => h("span", { class: "measure", "aria-hidden": "true", style: { "--share": `${Number((row.amount * 1000n) / most) / 10}%` } }) },
    { name: symbol(), number: true, cell: (row) => h("span", { "data-live": "" }, fine(row.amount)) },
    { name: "Difference", number: true, cell: (row) => difference(row) },
  ], rows, { key: (row) => row.key });
}

function difference(row) {
  const parts = [];
  if (row.gone !== 0n) parts.push(h("span", { class: row.key === "paid" && row.gone > 0n ? "bad" : null }, fine(-row.gone)), h("span", { class: "sub" }, row.gone > 0n ? row.words : row.key === "payable" ? "given by the coin" : row.words));
  if (row.pending > 0n) parts.push(fine(-row.pending), h("span", { class: "sub" }, "on its way"));
  return parts.length ? parts : "–";
}

function funds(rows) {
  return table("Funds", [
    { name: "Where", cell: (row) => [row.where, h("span", { class: "sub" }, row.frees)] },
    { name: "Until", wide: true, cell: (row) => row.until || "now" },
    { name: "Amount", number: true, cell: (row) => (row.unit === "wei" ? [(Number(row.amount) / 1e18).toFixed(4), h("span", { class: "sub" }, "native coin")] : [fine(row.amount), h("span", { class: "sub" }, symbol())]) },
  ], rows, { empty: "The chain has not been asked yet.", key: (row) => row.where });
}

const KINDS = { settled: "paid", open: "open", claimed: "wait" };

function sessions(rows) {
  return table("Sessions", [
    { name: "Session", cell: (row) => count(row.number) },
    { name: "Gateway", wide: true, cell: (row) => shortId(row.gateway) },
    { name: "Service", wide: true, cell: (row) => shortId(row.service) },
    { name: "Relays", number: true, cell: (row) => count(row.relays) },
    { name: "Served", number: true, wide: true, cell: (row) => brief(row.served_units) },
    { name: "Receipted", number: true, wide: true, cell: (row) => brief(row.receipted_units) },
    { name: "Payable", number: true, wide: true, cell: (row) => brief(row.payable_units) },
    { name: "Outcome", cell: (row) => badge(KINDS[row.outcome] ?? (BigInt(row.lost) > 0n ? "voided" : "new"), row.outcome) },
    { name: "Paid", number: true, cell: (row) => (BigInt(row.paid) > 0n ? fine(row.paid) : BigInt(row.pending) > 0n ? [fine(row.pending), h("span", { class: "sub" }, "on its way")] : "–") },
  ], rows, { empty: "No session has been served yet.", key: (row) => `${row.number}${row.gateway}${row.service}` });
}

const ACTS = {
  WriteSeed: "writes a seed", BuildRoster: "builds a roster", SubmitClaims: "claims", Prove: "proves",
  Settle: "settles", Collect: "collects",
};

function actions(rows) {
  return table("Sent", [
    { name: "When", cell: (row) => clock(row.at) },
    { name: "What", cell: (row) => ACTS[row.kind] ?? row.kind },
    { name: "Session", number: true, wide: true, cell: (row) => count(row.number) },
    { name: "Amount", number: true, cell: (row) => (row.amount === "0" ? "–" : fine(row.amount)) },
    { name: "Gas", number: true, wide: true, cell: (row) => count(row.gas_used) },
    { name: "Transaction", wide: true, cell: (row) => h("span", { class: "id", title: row.transaction }, row.transaction ? short(row.transaction) : "–") },
  ], rows, { empty: "Nothing has been sent yet." });
}

start({ frame, load, view });
