// Prices: the list of services, or the book and the price path of one of them.

import { get } from "/assets/shared/api.js";
import { chart, spark, stairs } from "/assets/shared/chart.js";
import { h, s } from "/assets/shared/dom.js";
import { brief, count, fine, money, scaled, symbol } from "/assets/shared/format.js";
import { figure, figures, panel, serviceLink, shortId, supplierLink, table } from "/assets/shared/parts.js";
import { start } from "/assets/shared/shell.js";
import { auctionFigures, auctionPath, orders, trial, tryBid } from "./auction.js";
import { frame } from "./frame.js";

const MILLION = 1_000_000n;
const id = location.pathname.split("/")[2] ?? "";

const view = (data, pulse, again) => (id ? one(data, pulse, again) : all(data));

async function load() {
  const data = await get(id ? `services/${encodeURIComponent(id)}` : "services");
  return data.has_market ? { ...data, tried: await tryBid(data) } : data;
}

function all(data) {
  return [
    h("div", { class: "title" }, h("h1", {}, "Prices"),
      h("p", {}, "Suppliers post an ask for each service, in money for a million compute units. What was asked when a session opened holds through it. Where an auction sells a service, one price is posted for each epoch.")),
    panel("Services", { note: `in ${symbol()}` }, table("Services and their prices", [
      { name: "Service", cell: (row) => h("span", { class: "name" }, serviceLink(row.id, row.name)) },
      { name: "Asks", number: true, cell: (row) => count(row.asks) },
      { name: "Posted", number: true, wide: true, cell: (row) => (row.posted ? fine(row.posted) : "–") },
      { name: "Lowest", number: true, cell: (row) => (row.low ? fine(row.low) : "–") },
      { name: "Median", number: true, wide: true, cell: (row) => (row.median ? fine(row.median) : "–") },
      { name: "Highest", number: true, wide: true, cell: (row) => (row.high ? fine(row.high) : "–") },
      { name: "M input tokens", number: true, wide: true, cell: (row) => tokens(row, "input") },
      { name: "M output tokens", number: true, cell: (row) => tokens(row, "output") },
      { name: "Path", number: true, wide: true, cell: (row) => spark(row.path.map(scaled), `${row.has_market ? "Posted price" : "Median ask"} of ${row.name}`) },
    ], data.services, { empty: "No service is listed.", key: (row) => row.id })),
  ];
}

/** What a million tokens of a kind cost at the posted price or the median ask: a token weighs so many units. */
function tokens(row, kind) {
  const price = row.posted ?? row.median;
  return price ? money(BigInt(price) * BigInt(row.weights[kind]), 2) : "–";
}

function one(data, pulse, again) {
  const session = pulse?.clock.session ?? data.path.at(-1)?.[0] ?? 0;
  const { weights } = data;
  return [
    h("div", { class: "title" },
      h("p", { class: "crumb" }, h("a", { href: "/prices" }, "Prices")),
      h("h1", {}, data.name || "A service without a name"),
      h("p", {}, h("code", {}, data.id))),
    figures(
      data.has_market ? auctionFigures(data) : askFigures(data),
      figure("A million input tokens", tokens(data, "input"), { unit: symbol(), note: `${count(weights.input)} units a token, ${count(weights.cached)} cached` }),
      figure("A million output tokens", tokens(data, "output"), { unit: symbol(), note: `${count(weights.output)} units a token, ${count(weights.request)} a request` }),
      figure("May be spent", money(data.demand.capped), { unit: symbol(), note: `a session, by ${count(data.demand.delegations)} delegations` })),
    h("div", { class: "halves" },
      data.has_market
        ? panel("Price path", { note: "posted for each epoch" }, auctionPath(data, session))
        : panel("Price path", { note: "asks as each session began, and what was claimed" }, path(data, session)),
      panel("Supply", { note: "weight in the draw that asks no more than a price" }, supply(data.book))),
    data.has_market ? [orders(data), trial(data, again)] : panel("Book", { note: "posted asks, the cheapest first" }, book(data)),
    panel("Listing", {}, h("dl", { class: "facts" },
      h("dt", {}, "Source"), h("dd", {}, shortId(data.source), ` earns ${data.source_bps / 100} %`),
      h("dt", {}, "Roster"), h("dd", {}, `${count(data.roster.entries)} suppliers with ${count(data.roster.weight)} lots, built for epoch ${count(data.roster.epoch)}`),
      h("dt", {}, "Claimed"), h("dd", {}, `${brief(data.units)} units in ${count(data.claims)} claims, worth ${money(data.value)} ${symbol()}`))),
  ];
}

const askFigures = (data) => [
  figure("Lowest ask", data.low ? fine(data.low) : "–", { unit: symbol(), note: "for a million compute units" }),
  figure("Median ask", data.median ? fine(data.median) : "–", { unit: symbol(), note: `of ${count(data.asks)} asks` }),
];

function path(data, session) {
  const asks = data.path.map(([at, low, median, high]) => [at, scaled(low), scaled(median), scaled(high)]);
  const paid = data.trades.filter(([, units]) => units !== "0")
    .map(([at, units, value]) => [at, scaled((BigInt(value) * MILLION) / BigInt(units))]);
  if (asks.length === 0) return h("p", { class: "empty" }, "No ask has stood through a session yet.");
  const from = Math.max(asks[0][0], session - 120);
  const first = asks.findLastIndex(([at]) => at <= from);
  const shown = asks.slice(Math.max(0, first)).map(([at, ...rest]) => [Math.max(at, from), ...rest]);
  const claimed = paid.filter(([at]) => at >= from);
  const top = Math.max(...shown.map((each) => each[3]), ...claimed.map((each) => each[1]));
  const last = data.path.at(-1);
  const label = `Asks of ${data.name}: lowest ${fine(last[1])}, median ${fine(last[2])}, highest ${fine(last[3])} ${symbol()} now`;
  return [
    chart({
      label, x: [from, Math.max(session, from + 1)], y: [0, top * 1.08], xName: "session", yName: symbol(),
      marks: (sx, sy) => {
        const line = (pick) => shown.map((each) => [sx(each[0]), sy(each[pick])]);
        const end = sx(session);
        const down = line(1).reverse();
        const band = stairs(line(3), end) + `L${end} ${down[0][1]}` + down.map(([x, y], place) => (place ? `V${y}H${x}` : `H${x}`)).join("") + "Z";
        return [
          s("path", { class: "band", d: band }),
          s("path", { class: "ink", d: stairs(line(2), end) }),
          claimed.map(([at, price]) => s("circle", { class: "point", cx: sx(at), cy: sy(price), r: 2.4 })),
        ];
      },
    }),
    h("p", { class: "key" }, h("span", {}, h("i"), "median ask"), h("span", {}, h("i", { class: "band" }), "lowest to highest"), h("span", {}, h("i", { class: "accent" }), "mean price of claims")),
  ];
}

function supply(rows) {
  const offers = rows.filter((each) => each.weight > 0).map((each) => [scaled(each.price_now), each.weight]).sort((a, b) => a[0] - b[0]);
  if (offers.length === 0) return h("p", { class: "empty" }, "No roster of this epoch holds an ask.");
  let sum = 0;
  const points = [[0, 0]];
  for (const [price, weight] of offers) {
    sum += weight;
    points.push([price, sum]);
  }
  const most = points.at(-1)[0] * 1.12;
  return [
    chart({
      label: `${offers.length} asks with ${sum} lots, from ${offers[0][0]} to ${offers.at(-1)[0]} ${symbol()}`,
      x: [0, most], y: [0, sum * 1.08], xName: `ask, ${symbol()}`, yName: "lots",
      marks: (sx, sy) => {
        const line = stairs(points.map(([x, y]) => [sx(x), sy(y)]), sx(most));
        return [s("path", { class: "mass", d: `${line}V${sy(0)}Z` }), s("path", { class: "accent", d: line })];
      },
    }),
    h("p", { class: "key" }, h("span", {}, h("i", { class: "accent" }), "lots that ask this or less")),
  ];
}

function book(data) {
  const all = data.book.reduce((sum, each) => sum + each.weight, 0);
  return table("Book", [
    { name: "Supplier", cell: (row) => supplierLink(row.supplier) },
    { name: "Ask", number: true, cell: (row) => h("span", { "data-live": "" }, fine(row.price)) },
    { name: "In this epoch", number: true, wide: true, cell: (row) => (row.price_now ? fine(row.price_now) : "not in the roster") },
    { name: "Lots", number: true, cell: (row) => count(row.weight) },
    { name: "Share of the draw", number: true, wide: true, cell: (row) => (all ? `${((row.weight / all) * 100).toFixed(1)} %` : "–") },
    { name: "Stake", number: true, wide: true, cell: (row) => money(row.stake, 0) },
  ], data.book, { empty: "Nobody asks anything for this service.", key: (row) => row.supplier });
}

start({ frame, load, view });
