// One supplier: what is public of it, and how this gateway gets on with it.

import { get } from "/assets/shared/api.js";
import { bar } from "/assets/shared/chart.js";
import { h } from "/assets/shared/dom.js";
import { brief, count, fine, money, percent, symbol } from "/assets/shared/format.js";
import { badge, figure, figures, panel, proof, serviceLink, table } from "/assets/shared/parts.js";
import { start } from "/assets/shared/shell.js";
import { frame } from "./frame.js";

const id = location.pathname.split("/")[2];

const load = () => get(`suppliers/${encodeURIComponent(id)}`);

function view(data) {
  const free = BigInt(data.stake) - BigInt(data.bonds) - BigInt(data.unstaking);
  const names = new Map(data.asks.map((each) => [each.service, each.name]));
  return [
    h("div", { class: "title" },
      h("p", { class: "crumb" }, h("a", { href: "/" }, "Market"), " · supplier"),
      h("h1", {}, data.url || "A supplier without a URL"),
      h("p", {}, h("code", {}, data.id))),
    figures(
      figure("Earned", money(data.earned), { unit: symbol(), note: `${count(data.claims_paid)} claims paid` }),
      figure("Claimed work", brief(data.units), { unit: "compute units", note: `${count(data.claims)} claims` }),
      figure("Stake", money(data.stake, 0), {
        unit: symbol(), note: `${money(free, 0)} free`,
        drawing: bar([[Number(free), "paid"], [Number(data.bonds), "spent"], [Number(data.unstaking), "open"]],
          `${money(free)} free, ${money(data.bonds)} behind claims, ${money(data.unstaking)} leaving`),
      }),
      figure("Behind open claims", money(data.bonds), { unit: symbol(), note: `at most ${money(data.bond_cap)} a session` }),
      figure("Slashed", money(data.slashed), {
        unit: symbol(), note: `${count(data.claims_voided)} claims voided`, kind: BigInt(data.slashed) > 0n ? "lost" : "",
      })),
    h("div", { class: "halves" },
      panel("Standing here", { note: "as this gateway found it" }, standing(data.standing)),
      panel("Identity", {}, h("dl", { class: "facts" },
        h("dt", {}, "Owner"), h("dd", {}, h("code", {}, data.owner)),
        h("dt", {}, "Operator"), h("dd", {}, h("code", {}, data.operator)),
        h("dt", {}, "Paid to"), h("dd", {}, h("code", {}, data.payout)),
        h("dt", {}, "Since block"), h("dd", {}, count(data.since_block))))),
    panel("Asks and roster", { note: `in ${symbol()} for a million compute units` }, table("Asks", [
      { name: "Service", cell: (row) => h("span", { class: "name" }, serviceLink(row.service, row.name)) },
      { name: "Ask", number: true, cell: (row) => fine(row.price) },
      { name: "Lots in this epoch", number: true, cell: (row) => (row.weight ? count(row.weight) : "not in the roster") },
      { name: "Share of the draw", number: true, wide: true, cell: (row) => percent(row.weight, row.weight_total) },
    ], data.asks, { empty: "It asks nothing.", key: (row) => row.service })),
    panel("Claims and payments", { note: `the last ${count(data.claims_shown.length)}` }, table("Claims", [
      { name: "Session", cell: (row) => count(row.session) },
      { name: "Service", wide: true, cell: (row) => h("span", { class: "name" }, serviceLink(row.service, names.get(row.service))) },
      { name: "Units", number: true, cell: (row) => brief(row.units) },
      { name: "Leaves", number: true, wide: true, cell: (row) => count(row.leaves) },
      { name: "Bond", number: true, wide: true, cell: (row) => fine(row.bond) },
      { name: "Proof", wide: true, cell: proof },
      { name: "State", cell: (row) => badge(row.state) },
      { name: "Value", number: true, cell: (row) => fine(row.value) },
      { name: "Earned", number: true, cell: (row) => (row.state === "paid" ? fine(row.earned) : "–") },
    ], data.claims_shown, { empty: "It has claimed nothing yet.", key: (row) => row.id })),
  ];
}

function standing(found) {
  if (found.state === "new") return h("p", { class: "empty" }, "This gateway has sent it nothing yet.");
  return h("dl", { class: "facts" },
    h("dt", {}, "State"), h("dd", {}, badge(found.state)),
    h("dt", {}, "In flight"), h("dd", { "data-live": "" }, count(found.in_flight)),
    h("dt", {}, "Faults in a row"), h("dd", {}, count(found.faults)),
    h("dt", {}, "Receipted"), h("dd", { "data-live": "" }, `${brief(found.receipted)} units`),
    h("dt", {}, "Not acknowledged"), h("dd", {}, `${brief(found.owed)} units`));
}

start({ frame, load, view });
