// Small helpers of the page. Text from people only ever goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

// element("p", "note", "text", child…): strings become text nodes.
export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function button(className, text, onClick) {
  const node = element("button", className, text);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

// A name's avatar has the same colour on every page.
export function avatar(name) {
  const node = element("span", "avatar");
  node.setAttribute("aria-hidden", "true");
  if (name === null) {
    node.classList.add("nobody");
    node.textContent = "?";
    return node;
  }
  let hash = 2166136261;
  for (const c of name) hash = Math.imul(hash ^ c.codePointAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0; // short names differ little before this
  node.style.setProperty("--hue", String(hash % 360));
  const words = name.trim().split(/\s+/);
  const initials = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  node.textContent = initials.map((w) => Array.from(w)[0] ?? "").join("").toUpperCase();
  return node;
}

// An alert that is empty is not there.
export function showProblem(node, text) {
  node.textContent = text;
  node.hidden = !text;
}
