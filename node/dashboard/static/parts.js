// Parts that several pages are made of: figures, tables, ids, states, panels.

import { h } from "./dom.js";
import { short } from "./format.js";

/** One large number with its name, a note and perhaps a drawing. */
export function figure(name, value, { unit = "", note = null, drawing = null, kind = "" } = {}) {
  return h("div", { class: `figure ${kind}` },
    h("dt", {}, name),
    h("dd", {}, h("b", { "data-live": "" }, value), unit && h("small", {}, unit), note && h("span", { class: "note" }, note), drawing));
}

export const figures = (...each) => h("dl", { class: "figures" }, each);

/** A titled part of a page. */
export function panel(title, { note = null, id = null, kind = "" }, ...children) {
  const name = id ?? title.toLowerCase().replace(/[^a-z]+/g, "-");
  return h("section", { class: `panel ${kind}`, "aria-labelledby": name, "data-key": name },
    h("div", { class: "head" }, h("h2", { id: name }, title), note && h("p", {}, note)),
    children);
}

/** A table. A column is `{ name, cell, number, wide }`: `wide` ones are left out on a phone. */
export function table(caption, columns, rows, { empty = "Nothing yet.", key = null } = {}) {
  const kind = (column) => [column.number && "n", column.wide && "wide"].filter(Boolean).join(" ") || null;
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: kind(column) }, column.name)))),
      h("tbody", {}, rows.map((row) =>
        h("tr", { "data-key": key ? key(row) : null }, columns.map((column, place) =>
          place === 0 ? h("th", { scope: "row", class: kind(column) }, column.cell(row))
            : h("td", { class: kind(column) }, column.cell(row))))))));
}

/** A supplier's id that leads to its page. */
export const supplierLink = (id) => h("a", { class: "id", href: `/suppliers/${id}`, title: id }, short(id));

/** A service's name, or its id where it has none, that leads to its prices. */
export const serviceLink = (id, name) =>
  h("a", { href: `/prices/${id}`, class: name ? null : "id", title: id }, name || short(id));

/** An id that leads nowhere. */
export const shortId = (id) => h("span", { class: "id", title: id }, id ? short(id) : "–");

const WORDS = {
  open: "open", paid: "paid", voided: "voided",
  new: "not met",
};

/** A state as a word with a mark beside it; colour is never all there is. */
export const badge = (kind, word = WORDS[kind] ?? kind) => h("span", { class: `badge ${kind}` }, h("i", { "aria-hidden": "true" }), word);

/** What a claim's challenge asked for. */
export function proof(claim) {
  if (claim.points === null) return "not drawn";
  if (claim.points === 0) return "none needed";
  const leaves = `${claim.points} ${claim.points === 1 ? "leaf" : "leaves"}`;
  return claim.state === "paid" ? `proved, ${leaves}` : claim.state === "voided" ? `missing, ${leaves}` : `due, ${leaves}`;
}
