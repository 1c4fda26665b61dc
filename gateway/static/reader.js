/**
 * The text as it is spoken: the word is marked, and a click on another goes there.
 *
 * Words are marked by the CSS Custom Highlight API, so a book's text is one node a paragraph and
 * not one a word.
 */

import { CodePoints, below } from "./codepoints.js";
import { element } from "./element.js";

const HANDS_OFF_MS = 4000;

export class Reader {
  #place;
  #paragraphs = []; // {start, node}: UTF-16 place in the text, text node
  #points = new CodePoints("");
  #marked = null;
  #scrolledAt = -Infinity;
  #highlight = globalThis.Highlight ? new Highlight() : null;

  /**
   * @param place element that the text goes into.
   * @param onPick gets the code point that was clicked.
   */
  constructor(place, onPick) {
    this.#place = place;
    place.scrollTop = 0;
    if (this.#highlight) CSS.highlights.set("spoken", this.#highlight);
    this.onPick = (event) => {
      const point = this.#pointUnder(event);
      if (point !== null) onPick(point);
    };
    this.onScroll = () => { this.#scrolledAt = performance.now(); };
    place.addEventListener("click", this.onPick);
    for (const name of ["wheel", "touchmove", "keydown"]) {
      place.addEventListener(name, this.onScroll, { passive: true });
    }
  }

  /** Show a text. */
  show(text) {
    this.#points = new CodePoints(text);
    this.#mark(null);
    this.#paragraphs = [...text.matchAll(/[^\n]*\S[^\n]*/g)].map((match) => ({
      start: match.index,
      node: document.createTextNode(match[0]),
    }));
    this.#place.replaceChildren(...this.#paragraphs.map(({ node }) => element("p", {}, node)));
  }

  /** Show sentences `{text, span}` of a text that is not known as a whole. */
  showSentences(sentences) {
    const parts = [];
    let point = 0;
    for (const { text, span } of sentences) {
      // Each where it is in the input, so that spans hold; what is between is unknown, and blank.
      const missing = Math.max(0, span.start - point);
      parts.push(missing > 1 ? "\n".padStart(missing) : " ".repeat(missing), text);
      point = span.end;
    }
    const text = parts.join("");
    this.show(text);
  }

  /** Mark a stretch of the text `{start, end}`, in code points; null for none. */
  mark(span) {
    const same = span && this.#marked && span.start === this.#marked.start && span.end === this.#marked.end;
    if (same || span === this.#marked) return;
    this.#mark(span);
  }

  /** The code point where what is selected in the text begins, or null. */
  selected() {
    const selection = document.getSelection();
    if (selection.isCollapsed || !this.#place.contains(selection.anchorNode)) return null;
    const { startContainer: node, startOffset: offset } = selection.getRangeAt(0);
    const found = this.#paragraphs.find((paragraph) => paragraph.node === node);
    return found ? this.#points.fromUtf16(found.start + offset) : null;
  }

  close() {
    this.#mark(null);
    this.#place.removeEventListener("click", this.onPick);
    for (const name of ["wheel", "touchmove", "keydown"]) {
      this.#place.removeEventListener(name, this.onScroll);
    }
    this.#place.replaceChildren();
  }

  #mark(span) {
    this.#marked = span;
    this.#highlight?.clear();
    if (!span || this.#paragraphs.length === 0) return;
    const range = document.createRange();
    range.setStart(...this.#nodeAt(this.#points.toUtf16(span.start)));
    range.setEnd(...this.#nodeAt(this.#points.toUtf16(span.end)));
    this.#highlight?.add(range);
    this.#reveal(range);
  }

  #nodeAt(place) {
    const index = Math.max(0, below(this.#paragraphs, ({ start }) => start <= place) - 1);
    const { start, node } = this.#paragraphs[index];
    return [node, Math.max(0, Math.min(place - start, node.length))];
  }

  #reveal(range) {
    if (performance.now() < this.#scrolledAt + HANDS_OFF_MS) return;
    const word = range.getBoundingClientRect();
    const view = this.#place.getBoundingClientRect();
    if (word.top >= view.top + 8 && word.bottom <= view.bottom - 8) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const top = this.#place.scrollTop + word.top - view.top - view.height / 3;
    this.#place.scrollTo({ top, behavior: calm ? "instant" : "smooth" });
  }

  #pointUnder(event) {
    if (!document.getSelection().isCollapsed) return null; // selecting text is not clicking a word
    const caret = document.caretPositionFromPoint
      ? document.caretPositionFromPoint(event.clientX, event.clientY)
      : asCaret(document.caretRangeFromPoint(event.clientX, event.clientY));
    const found = caret && this.#paragraphs.find(({ node }) => node === caret.offsetNode);
    return found ? this.#points.fromUtf16(found.start + caret.offset) : null;
  }
}

function asCaret(range) {
  return range && { offsetNode: range.startContainer, offset: range.startOffset };
}
