/** What a text would come to, shown while it is written: seconds of audio, the wait, its problems. */

import { ApiError, askJson } from "./api.js";
import { byId, element, say } from "./element.js";
import { teach } from "./lexicons.js";
import { body } from "./requests.js";
import { about, many, span } from "./words.js";

const REST_MS = 700; // of the hands, before the server is asked
const LONG_REST_MS = 3000;
const LONG_CHARS = 100_000;
const MOST_BYTES = 10_000_000; // of a file that is sent only to be estimated
const SHOWN = 30;

export class Estimator {
  #timer = null;
  #asking = null;
  #shown = null; // what was estimated last
  #request;

  /** @param request returns what would be submitted now, or null. */
  constructor(request) {
    this.#request = request;
  }

  /** Something changed: ask once it has stopped to. */
  soon() {
    this.stop();
    const asked = this.#request();
    if (asked === null || asked.file?.size > MOST_BYTES) {
      this.#shown = null;
      this.#clear();
      return;
    }
    const long = (asked.input?.length ?? 0) > LONG_CHARS;
    this.#timer = setTimeout(() => this.#ask(), long ? LONG_REST_MS : REST_MS);
  }

  /** Ask no more until something changes. */
  stop() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  async #ask() {
    const asked = this.#request();
    if (asked === null) return;
    const wanted = JSON.stringify({ ...asked, file: asked.file && [asked.file.name, asked.file.size, asked.file.lastModified] });
    if (wanted === this.#shown) return;
    this.#asking = new AbortController();
    try {
      const options = { method: "POST", signal: this.#asking.signal, ...body(asked) };
      this.#show(await askJson("v1/estimate", options));
      this.#shown = wanted;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#shown = null;
      this.#clear();
      // What the server would refuse is told while there is time; a server that is away has a banner.
      if (error instanceof ApiError && error.status === 422) {
        say(byId("estimate"), error.message);
        byId("estimate").dataset.bad = "true";
      }
    }
  }

  #clear() {
    say(byId("estimate"), "");
    delete byId("estimate").dataset.bad;
    byId("estimate-more").hidden = true;
  }

  #show(found) {
    this.#clear();
    const fatal = found.audio_s === null || found.problems.some(({ code }) => code === "nothing_to_speak");
    const parts = [];
    if (!fatal) parts.push(`${found.sampled ? "About " : ""}${span(found.audio_s)} of audio`);
    if (!fatal && found.chapters) parts.push(many(found.chapters, "chapter"));
    if (!fatal && found.wait_s !== null) parts.push(`done in ${about(found.wait_s)}`);
    const worst = found.problems.find(({ code }) => code === "nothing_to_speak" || code === "language_unavailable");
    say(byId("estimate"), fatal ? (worst?.detail ?? "") : `${parts.join(", ")}.`);
    if (fatal) byId("estimate").dataset.bad = "true";
    this.#showWords(found);
  }

  #showWords({ oov, problems }) {
    const told = problems.filter(({ code }) => code !== "oov_word" && code !== "nothing_to_speak" && code !== "language_unavailable");
    const label = [];
    if (oov.length) label.push(`${many(oov.length, "word")} in no dictionary`);
    if (told.length) label.push(many(told.length, "note"));
    byId("estimate-more").hidden = label.length === 0;
    say(byId("estimate-count"), label.join(", "));
    byId("estimate-list").replaceChildren(
      ...told.slice(0, SHOWN).map(({ detail }) => element("li", {}, detail)),
      ...oov.slice(0, SHOWN).map(({ word, phonemes }) => element("li", { class: "row between" },
        element("span", {}, element("b", {}, word), phonemes ? ` is said /${phonemes}/` : " has no sound"),
        element("button", { type: "button", class: "plain", "aria-label": `Say ${word} otherwise`, onclick: () => teach(word) },
          "Say it otherwise"))),
    );
  }
}
