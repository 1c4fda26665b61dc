/** What went wrong, in words, where it belongs on the page. */

import { ApiError, Unreachable } from "./api.js";
import { element } from "./element.js";
import { about } from "./words.js";

/** Show an error in a place of its own; a fault of the page's own is raised again. */
export function problem(place, error) {
  place.replaceChildren(element("p", { class: "problem", role: "alert" }, inWords(error)));
  const known = error instanceof ApiError || error instanceof Unreachable || error.constructor === Error;
  if (!known && !(error instanceof DOMException)) throw error;
}

/** Return an error as a sentence or two for people. */
export function inWords(error) {
  if (error instanceof ApiError && error.retryAfterS) {
    return `${error.message} Try again in ${about(error.retryAfterS)}.`;
  }
  return error.message;
}
