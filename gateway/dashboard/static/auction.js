// An auctioned service: posted prices, revealed orders, and what a bid would have got and paid.

import { get, Refused } from "/assets/shared/api.js";
import { chart, stairs } from "/assets/shared/chart.js";
import { h, s } from "/assets/shared/dom.js";
import { amountOf, count, fine, scaled, symbol, written } from "/assets/shared/format.js";
import { figure, panel, shortId, supplierLink, table } from "/assets/shared/parts.js";

const EPOCHS = 16;
const bid = { price: "", quantity: "1" };

/** What the last rounds would have come to with the bid in the form, at first one that took part in all. */
export async function tryBid(data) {
  if (!data.posted) return { data: [] };
  const posted = [data.posted, ...data.path.map(([, price]) => price)].map(BigInt);
  bid.price ||= written(posted.reduce((most, each) => (each > most ? each : most)));
  const price = amountOf(bid.price);
  if (price === null) return { refused: `${bid.price || "nothing"} is no amount of ${symbol()}`, data: [] };
  const query = new URLSearchParams({ price, quantity: bid.quantity, epochs: String(EPOCHS) });
  try {
    return await get(`bids/${encodeURIComponent(data.id)}?${query}`);
  } catch (error) {
    if (error instanceof Refused) return { refused: error.message, data: [] };
    throw error;
  }
}

export const auctionFigures = (data) => [
  figure("Posted price", data.posted ? fine(data.posted) : "–", { unit: symbol(), note: "for a million compute units, whatever is bid" }),
  figure("Suppliers were paid", data.round?.mean ? fine(data.round.mean) : "–", { unit: symbol(), note: data.round ? `on average, for epoch ${count(data.round.epoch)}` : "no round yet" }),
];

/** Posted prices over the epochs, and what suppliers were paid of them. */
export function auctionPath(data, session) {
  if (data.path.length === 0) return h("p", { class: "empty" }, "No round has had an order yet.");
  const points = data.path.map(([at, posted, mean]) => [at, scaled(posted), mean === null ? null : scaled(mean)]);
  const from = points[0][0], to = Math.max(session, points.at(-1)[0] + 1);
  const top = Math.max(...points.map(([, posted]) => posted));
  return [
    chart({
      label: `Posted price of ${data.name}: ${fine(data.path.at(-1)[1])} ${symbol()} for the newest round`,
      x: [from, to], y: [0, top * 1.08], xName: "session", yName: symbol(),
      marks: (sx, sy) => [
        s("path", { class: "ink", d: stairs(points.map(([at, posted]) => [sx(at), sy(posted)]), sx(to)) }),
        points.filter(([, , mean]) => mean !== null).map(([at, , mean]) => s("circle", { class: "point", cx: sx(at), cy: sy(mean), r: 2.4 })),
      ],
    }),
    h("p", { class: "key" }, h("span", {}, h("i"), "posted price"), h("span", {}, h("i", { class: "accent" }), "what suppliers were paid, on average")),
  ];
}

/** The revealed orders of the newest round that has any. */
export function orders(data) {
  const { round } = data;
  const sums = round ? `epoch ${count(round.epoch)}: ${count(round.demand)} million units wanted, ${count(round.supply)} offered, ${round.procured ? `${count(round.procured)} sold` : "not cleared"}` : null;
  const part = { name: "Takes part", wide: true, cell: (row) => (row.in ? "yes" : "no") };
  return [
    panel("Book", { note: sums }, table("Asks", [
      { name: "Supplier", cell: (row) => supplierLink(row.supplier) },
      { name: "Ask", number: true, cell: (row) => fine(row.price) },
      { name: "Million units", number: true, cell: (row) => count(row.quantity) },
      part,
      { name: "Paid in this epoch", number: true, wide: true, cell: (row) => (row.price_now ? fine(row.price_now) : "not in the roster") },
    ], data.book, { empty: "No ask is revealed yet.", key: (row) => row.supplier })),
    panel("Bids", { note: "each pays the posted price, whatever it bids" }, table("Bids", [
      { name: "Application", cell: (row) => shortId(row.application) },
      { name: "Bid", number: true, cell: (row) => fine(row.price) },
      { name: "Million units", number: true, cell: (row) => count(row.quantity) },
      part,
    ], data.bids, { empty: "No bid is revealed yet.", key: (row) => row.application })),
  ];
}

/** A form for a bid, and what it would have got of each round and paid for it. */
export function trial(data, again) {
  const field = (name, label) => [
    h("label", { for: name }, label),
    h("input", {
      id: name, type: "text", inputmode: "decimal", autocomplete: "off", value: bid[name], "data-kept": "", "data-key": name,
      oninput: (event) => {
        bid[name] = event.target.value.trim();
        again();
      },
    }),
  ];
  return panel("What a bid would have paid", { note: "this gateway's application, in rounds that are over" },
    h("form", { class: "find", "data-key": "trial", onsubmit: (event) => event.preventDefault() },
      field("price", `Bid, ${symbol()}`), field("quantity", "Million units")),
    data.tried.refused && h("p", { class: "wrong", role: "alert" }, `${data.tried.refused}.`),
    table("Past rounds", [
      { name: "Epoch", cell: (row) => count(row.epoch) },
      { name: "Got", number: true, cell: (row) => `${count(row.units)} of ${count(row.quantity)}` },
      { name: "Pays for each", number: true, cell: (row) => (row.paid ? fine(row.paid) : "–") },
      { name: "At once", number: true, wide: true, cell: (row) => fine(row.charge) },
      { name: "By claims, at most", number: true, wide: true, cell: (row) => fine(row.claims) },
      { name: "Suppliers paid", number: true, wide: true, cell: (row) => (row.mean ? fine(row.mean) : "–") },
    ], data.tried.data.toReversed(), { empty: "No round that is over had an order.", key: (row) => row.epoch }));
}
