// How ids, money, units and times are written. Money and units come as decimal text: BigInt here.

const whole = new Intl.NumberFormat("en");
const SCALES = [[1_000_000_000_000n, "T"], [1_000_000_000n, "G"], [1_000_000n, "M"], [1_000n, "k"]];

let token = { symbol: "", decimals: 6 };

/** Sets how money is written from now on. */
export function useToken(next) {
  if (next) token = next;
}

export const symbol = () => token.symbol;

/** A count with separators. */
export const count = (value) => whole.format(BigInt(value ?? 0));

/** Base units as whole tokens, with so many places after the point, rounded down. */
export function money(value, places = 2) {
  const amount = BigInt(value ?? 0);
  const size = amount < 0n ? -amount : amount;
  const unit = 10n ** BigInt(token.decimals);
  const sign = amount < 0n ? "−" : "";
  const kept = Math.min(places, token.decimals);
  const rest = (size % unit).toString().padStart(token.decimals, "0").slice(0, kept);
  return sign + whole.format(size / unit) + (kept ? "." + rest : "");
}

/** A small amount or a price: four places, or all of them where four would be nothing. */
export function fine(value) {
  const amount = BigInt(value ?? 0);
  const isTiny = amount > 0n && amount * 10_000n < 10n ** BigInt(token.decimals);
  return money(amount, isTiny ? token.decimals : 4);
}

/** Base units as whole tokens in full, as a form takes them. */
export function written(value) {
  const full = money(value, token.decimals).replaceAll(",", "");
  return full.includes(".") ? full.replace(/\.?0+$/, "") : full;
}

/** What was written in whole tokens as base units; null where it is no amount. */
export function amountOf(text) {
  const [, tokens, rest = ""] = /^(\d{1,15})(?:\.(\d*))?$/.exec(text) ?? [];
  if (tokens === undefined || rest.length > token.decimals) return null;
  return (BigInt(tokens) * 10n ** BigInt(token.decimals) + BigInt(rest.padEnd(token.decimals, "0"))).toString();
}

/** A large number as 1.07 G. */
export function brief(value) {
  const amount = BigInt(value ?? 0);
  for (const [scale, letter] of SCALES) {
    if (amount < scale) continue;
    const hundredths = (amount * 100n) / scale;
    const places = hundredths >= 10_000n ? 0 : hundredths >= 1_000n ? 1 : 2;
    return `${(Number(hundredths) / 100).toFixed(places)} ${letter}`;
  }
  return amount.toString();
}

/** The two ends of an id. */
export const short = (id) => (id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id);

/** A share as percent. */
export function percent(part, all, places = 1) {
  return all === 0n || Number(all) === 0 ? "0 %" : `${((Number(part) / Number(all)) * 100).toFixed(places)} %`;
}

/** Whole tokens as a number, for drawing only. */
export const scaled = (value) => Number(BigInt(value ?? 0)) / 10 ** token.decimals;

/** Unix seconds as a time of today, or a date and time. */
export function clock(seconds) {
  const at = new Date(seconds * 1000);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? time : `${at.toISOString().slice(5, 10)} ${time}`;
}

/** Milliseconds as people say them. */
export const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`);
