/**
 * Make and find elements. What a user or a server wrote is only ever set as text: there is no way
 * from here to markup.
 */

const ATTRIBUTE = /^(aria-|role$|for$|href$)/;

/** Return a new element; `on…` are listeners, strings among the children become text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (ATTRIBUTE.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return the element of an id; the page's own markup has it. */
export function byId(id) {
  return document.getElementById(id);
}

/** Set an element's text only when it changes, so that screen readers hear it once. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
