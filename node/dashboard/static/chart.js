// Small drawings: a line in a sentence, a stacked bar, and charts with axes; all plain SVG.

import { h, s } from "./dom.js";

/** A sparkline of numbers, the last of them marked. */
export function spark(values, label, { width = 96, height = 24 } = {}) {
  const found = values.filter((each) => Number.isFinite(each));
  if (found.length < 2) return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const low = Math.min(...found), high = Math.max(...found), pad = 3;
  const x = (place) => pad + (place / (found.length - 1)) * (width - 2 * pad);
  const y = (value) => (high === low ? height / 2 : height - pad - ((value - low) / (high - low)) * (height - 2 * pad));
  const path = found.map((value, place) => `${place ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMinYMid", role: "img", "aria-label": label },
    s("path", { class: "area", d: `${path}L${x(found.length - 1).toFixed(1)} ${height}L${pad} ${height}Z` }),
    s("path", { class: "stroke", d: path }),
    s("circle", { cx: x(found.length - 1).toFixed(1), cy: y(found.at(-1)).toFixed(1), r: 2 }));
}

/** Parts of a whole, side by side: `[[amount, class, name], ...]`. */
export function bar(parts, label) {
  const all = parts.reduce((sum, [amount]) => sum + amount, 0);
  return h("span", { class: "bar", role: "img", "aria-label": label },
    all > 0 && parts.filter(([amount]) => amount > 0).map(([amount, kind]) =>
      h("i", { class: kind, style: { "flex-grow": String(amount) } })));
}

/** Round steps that cover `low` to `high`. */
function steps(low, high, wanted = 4) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / wanted, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
  return found;
}

const BOX = { width: 640, height: 240, left: 52, right: 14, top: 14, bottom: 38 };

/** Axes, grid and scales for a chart; `marks` draws inside them. */
export function chart({ label, x, y, xName, yName, xText = String, yText = String, marks }) {
  const { width, height, left, right, top, bottom } = BOX;
  const sx = (value) => left + ((value - x[0]) / (x[1] - x[0] || 1)) * (width - left - right);
  const sy = (value) => height - bottom - ((value - y[0]) / (y[1] - y[0] || 1)) * (height - top - bottom);
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    steps(y[0], y[1]).map((at) => [
      s("line", { class: "grid", x1: left, x2: width - right, y1: sy(at), y2: sy(at) }),
      s("text", { x: left - 8, y: sy(at) + 4, "text-anchor": "end" }, yText(at)),
    ]),
    steps(x[0], x[1], 6).map((at) => s("text", { x: sx(at), y: height - bottom + 18, "text-anchor": "middle" }, xText(at))),
    s("text", { class: "name", x: left, y: 8 }, yName),
    s("text", { class: "name", x: width - right, y: height - 1, "text-anchor": "end" }, xName),
    marks(sx, sy));
}

/** A line that holds each value until the next: `[[x, y], ...]`, in screen places. */
export function stairs(points, end) {
  return points.map(([x, y], place) => (place ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}`)).join("")
    + (end === undefined || points.length === 0 ? "" : `H${end.toFixed(1)}`);
}
