// Making elements and bringing them up to date. Text only ever becomes text: nothing here parses.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onsubmit", "oninput", "onchange", "onkeydown", "onpointermove", "onpointerleave"];

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element[name] = value;
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/** An HTML element; functions under `on...` are its handlers, `style` sets custom properties. */
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function s(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Brings the children of a place up to date without taking what has not changed away from under
 * the reader's focus, selection or pointer. Elements with `data-key` keep to their key. */
export function draw(place, ...wanted) {
  const next = document.createDocumentFragment();
  fill(next, null, wanted);
  mend(place, next);
}

function mend(old, next) {
  const keyed = new Map();
  for (const child of old.children) if (child.dataset?.key) keyed.set(child.dataset.key, child);
  let at = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const same = wanted.dataset?.key ? keyed.get(wanted.dataset.key) : at;
    if (same && isLike(same, wanted)) {
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      update(same, wanted);
    } else {
      old.insertBefore(wanted, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function isLike(old, next) {
  return old.nodeName === next.nodeName && (old.dataset?.key ?? "") === (next.dataset?.key ?? "");
}

function update(old, next) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) {
      old.data = next.data;
      old.parentElement?.closest("[data-live]")?.animate(
        [{ color: "var(--accent)" }, {}],
        { duration: 1400, easing: "ease-out" },
      );
    }
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE || old.dataset.kept !== undefined) return;
  for (const { name } of [...old.attributes]) {
    if (name !== "style" && name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== next.style.cssText) old.style.cssText = next.style.cssText;
  for (const name of HANDLERS) old[name] = next[name];
  mend(old, next);
}
