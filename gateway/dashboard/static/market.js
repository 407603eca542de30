// The market: sums, the way of the claims, services, suppliers, sessions in progress, what happens.

import { get } from "/assets/shared/api.js";
import { bar, spark } from "/assets/shared/chart.js";
import { h } from "/assets/shared/dom.js";
import { brief, count, fine, money, scaled, short, symbol } from "/assets/shared/format.js";
import { badge, figure, figures, panel, proof, serviceLink, shortId, supplierLink, table } from "/assets/shared/parts.js";
import { start } from "/assets/shared/shell.js";
import { frame } from "./frame.js";

const STAGES = {
  serving: "Serving", claiming: "Claiming", proving: "Proving", settled: "Settled",
};
const ORDERS = [["earned", "Earned"], ["stake", "Stake"], ["price", "Lowest ask"], ["claims", "Claims"], ["slashed", "Slashed"]];
const PAGE = 12;

const list = { order: "earned", find: "", limit: PAGE };

async function load() {
  const query = new URLSearchParams({ order: list.order, find: list.find, limit: String(list.limit) });
  const [market, found] = await Promise.all([get("market"), get(`suppliers?${query}`)]);
  return { ...market, found };
}

function view(data, pulse, again) {
  const totals = pulse?.totals ?? data.totals;
  const names = new Map(data.services.map((each) => [each.id, each.name]));
  return [
    h("div", { class: "title" },
      h("h1", {}, "The market"),
      h("p", {}, `${count(data.counts.suppliers)} suppliers offer ${count(data.counts.services)} services to ${count(data.counts.delegations)} delegations, each worth up to its cap a session.`)),
    sums(data, totals),
    way(pulse?.stages ?? data.stages, pulse?.in_flight ?? data.in_flight),
    h("div", { class: "columns" },
      h("div", {},
        services(data.services),
        suppliers(data.found, again),
        sessions(data.sessions),
        claims(data.claims, names)),
      h("div", {}, activity(pulse?.activity ?? data.activity, names))),
  ];
}

function sums(data, totals) {
  const ended = data.history.filter((each) => each.open === 0 && each.claims > 0);
  const line = (name, pick) => spark(ended.map(pick), `${name}, the last ${ended.length} sessions`, { width: 176, height: 28 });
  return figures(
    figure("Paid to suppliers", money(totals.to_suppliers), {
      unit: symbol(), note: `${count(totals.claims_paid)} claims`,
      drawing: line("Paid", (each) => scaled(each.value_paid)),
    }),
    figure("Claimed work", brief(totals.units), {
      unit: "compute units", note: `${money(totals.value_open)} ${symbol()} still open`,
      drawing: line("Units claimed", (each) => Number(each.units)),
    }),
    figure("Proofs asked for", count(ended.reduce((sum, each) => sum + each.to_prove, 0)), {
      note: `of ${count(ended.reduce((sum, each) => sum + each.claims, 0))} claims lately`,
      drawing: line("Leaves opened", (each) => each.points),
    }),
    figure("Staked", money(totals.stake, 0), {
      unit: symbol(), note: `${money(totals.bonds)} behind open claims`,
    }),
    figure("Slashed", money(totals.slashed), {
      unit: symbol(), note: `${count(totals.claims_voided)} claims without their proof`,
      kind: BigInt(totals.slashed) > 0n ? "lost" : "",
    }),
  );
}

function way(stages, inFlight) {
  return h("ol", { class: "way", "aria-label": "The way of a session's claims" }, stages.map((each) =>
    h("li", { "data-key": each.stage },
      h("p", { class: "stage" }, h("span", {}, STAGES[each.stage]), h("span", {}, `session ${count(each.number)}`)),
      h("b", { "data-live": "" }, headline(each, inFlight)),
      h("p", {}, detail(each)),
      each.stage !== "serving" && bar([[each.paid, "paid"], [each.open, "open"], [each.voided, "voided"]],
        `${each.paid} paid, ${each.open} open, ${each.voided} voided`))));
}

function headline(each, inFlight) {
  if (each.stage === "serving") return `${count(inFlight)} in flight here`;
  const amount = each.stage === "settled" ? each.value_paid : each.value;
  return `${money(amount)} ${symbol()}`;
}

function detail(each) {
  if (each.stage === "serving") return "relays are signed and served";
  const claims = `${count(each.claims)} ${each.claims === 1 ? "claim" : "claims"}`;
  if (each.stage === "claiming") return claims;
  const voided = each.voided ? `, ${count(each.voided)} voided` : "";
  return `${claims}, ${count(each.to_prove)} to prove, ${count(each.paid)} paid${voided}`;
}

function services(rows) {
  return panel("Services", { note: `asks in ${symbol()} for a million compute units` },
    table("Services", [
      { name: "Service", cell: (row) => h("span", { class: "name" }, serviceLink(row.id, row.name)) },
      { name: "Asks", number: true, cell: (row) => count(row.asks) },
      { name: "Lowest", number: true, wide: true, cell: (row) => (row.low ? fine(row.low) : "–") },
      { name: "Median", number: true, cell: (row) => (row.median ? fine(row.median) : "–") },
      { name: "Path", number: true, wide: true, cell: (row) => spark(row.path.map(scaled), `${row.has_market ? "Posted price" : "Median ask"} of ${row.name} over the sessions`) },
      { name: "Claimed", number: true, cell: (row) => h("span", { "data-live": "" }, `${money(row.value)}`) },
    ], rows, { empty: "No service is listed.", key: (row) => row.id }));
}

function suppliers(found, again) {
  const pick = (order) => () => {
    list.order = order;
    again();
  };
  const heading = ([order, name]) => h("button", { type: "button", "aria-pressed": list.order === order ? "true" : "false", onclick: pick(order) }, name);
  const columns = [
    { name: "Supplier", cell: (row) => [supplierLink(row.id), h("span", { class: "sub" }, row.url)] },
    { name: "Standing here", wide: true, cell: (row) => badge(row.standing) },
    { name: heading(ORDERS[2]), number: true, cell: (row) => (row.low ? fine(row.low) : "–") },
    { name: heading(ORDERS[1]), number: true, wide: true, cell: (row) => money(row.stake, 0) },
    { name: heading(ORDERS[3]), number: true, wide: true, cell: (row) => count(row.claims) },
    { name: heading(ORDERS[4]), number: true, wide: true, cell: (row) => (BigInt(row.slashed) > 0n ? h("span", { class: "bad" }, money(row.slashed)) : "0") },
    { name: heading(ORDERS[0]), number: true, cell: (row) => h("span", { "data-live": "" }, money(row.earned)) },
  ];
  const find = h("input", {
    type: "search", id: "find", placeholder: "id or URL", value: list.find, "data-kept": "", "data-key": "find",
    oninput: (event) => {
      list.find = event.target.value.trim();
      list.limit = PAGE;
      again();
    },
  });
  const left = found.total - found.suppliers.length;
  return h("section", { class: "panel", "aria-labelledby": "suppliers", "data-key": "suppliers" },
    h("div", { class: "head" },
      h("h2", { id: "suppliers" }, "Suppliers"),
      h("p", {}, `${count(found.total)}${list.find ? " found" : ""}`),
      h("div", { class: "find" }, h("label", { for: "find" }, "Find"), find)),
    table("Suppliers", columns, found.suppliers, { empty: "No supplier matches.", key: (row) => row.id }),
    left > 0 && h("p", { class: "more" }, h("button", {
      type: "button",
      onclick: () => {
        list.limit += PAGE;
        again();
      },
    }, `Show ${Math.min(left, PAGE)} more`)));
}

function sessions(rows) {
  return panel("Sessions in progress here", { note: "what this gateway signs relays for, and who was drawn" },
    table("Sessions in progress", [
      { name: "Service", cell: (row) => [serviceLink(row.service, row.model), h("span", { class: "sub" }, "for ", short(row.application))] },
      { name: "Members", cell: (row) => h("span", { class: "members" }, row.members.map((each) =>
        h("span", {}, supplierLink(each.supplier), each.standing.in_flight ? ` ${each.standing.in_flight} in flight` : "", each.standing.state === "good" || each.standing.state === "new" ? "" : [" ", badge(each.standing.state)]))) },
      { name: "Cap", number: true, cell: (row) => money(row.cap) },
    ], rows, { empty: "This gateway has no open session.", key: (row) => row.id }));
}

function claims(rows, names) {
  return panel("Claims", { note: "the last that came or ended" },
    table("Claims", [
      { name: "Supplier", cell: (row) => [supplierLink(row.supplier), h("span", { class: "sub" }, names.get(row.service) ?? short(row.service))] },
      { name: "Session", number: true, wide: true, cell: (row) => count(row.session) },
      { name: "Units", number: true, wide: true, cell: (row) => brief(row.units) },
      { name: "Proof", wide: true, cell: proof },
      { name: "State", cell: (row) => badge(row.state) },
      { name: "Value", number: true, cell: (row) => fine(row.value) },
    ], rows, { empty: "No claim has been made yet.", key: (row) => row.id }));
}

const SAYS = {
  claim: (each, service) => [who(each), " claims ", amount(each), " for ", service],
  paid: (each, service) => [who(each), " is paid ", amount(each), each.points ? " on its proof, " : ", ", service],
  voided: (each, service) => [who(each), " did not prove its claim on ", service, "; ", amount(each), " void"],
  slash: (each) => [who(each), " loses a bond of ", amount(each)],
  ask: (each, service) => [who(each), " asks ", h("b", {}, fine(each.price)), " for ", service],
  ask_removed: (each, service) => [who(each), " withdraws its ask for ", service],
  posted: (each, service) => [service, " is posted at ", h("b", {}, fine(each.price))],
  cleared: (each, service) => [count(each.units), " million units of ", service, " are sold for epoch ", count(each.epoch), " at ", amount(each)],
  stake: (each) => [who(each), " stakes ", amount(each)],
  unstake: (each) => [who(each), " takes out ", amount(each)],
  supplier: (each) => [who(each), " registers"],
  service: (each, service) => [service, " is listed"],
  deposit: (each) => [shortId(each.application), " deposits ", amount(each)],
  delegate: (each, service) => [shortId(each.application), " delegates ", amount(each), " a session for ", service],
  paused: () => ["new sessions are paused"],
  unpaused: () => ["sessions open again"],
};
const who = (each) => supplierLink(each.supplier);
const amount = (each) => h("b", {}, fine(each.amount));

function activity(rows, names) {
  const line = (each) => {
    const service = each.service ? serviceLink(each.service, names.get(each.service)) : "";
    return h("li", { class: each.kind, "data-key": `${each.number}-${each.kind}` },
      h("time", {}, count(each.block)), h("span", {}, SAYS[each.kind]?.(each, service) ?? each.kind));
  };
  return panel("As it happens", { note: "by block" },
    rows.length ? h("ol", { class: "feed" }, rows.map(line)) : h("p", { class: "empty" }, "Nothing yet."));
}

start({ frame, load, view });
