/** The list of voices: grouped by language, filtered by name, chosen by ear. */

import { byId, element, say } from "./element.js";
import { sampleOf } from "./samples.js";
import { Listening } from "./spoken.js";
import { language } from "./words.js";

const CHOSEN = "kc-voice";
const FAVOURITE = "af_heart"; // Kokoro's best graded; chosen first where it is loaded

export class VoicePicker {
  #list = byId("voices");
  #filter = byId("voice-filter");
  #model = "";
  #groups = [];
  #listening;
  voices = [];

  /** @param onChange gets the voice that was chosen. @param onError gets why a sample was not to be had. */
  constructor(onChange, onError) {
    this.onChange = onChange;
    this.#listening = new Listening(onError);
    this.#filter.addEventListener("input", () => this.#sift());
    this.#list.addEventListener("change", () => {
      localStorage.setItem(CHOSEN, this.chosen.id);
      this.#chose();
    });
  }

  /** The voice that is chosen, one of those listed; undefined while there are none. */
  get chosen() {
    const id = this.#list.querySelector("input:checked")?.value;
    return this.voices.find((voice) => voice.id === id);
  }

  choose(id) {
    const radio = [...this.#list.querySelectorAll("input")].find(({ value }) => value === id);
    if (!radio) return;
    radio.checked = true;
    this.#chose();
  }

  #chose() {
    // One stop for the tab key, not one a voice: the arrows go through the list.
    for (const row of this.#list.querySelectorAll(".voice")) {
      row.querySelector("button").tabIndex = row.querySelector("input").checked ? 0 : -1;
    }
    this.onChange(this.chosen);
  }

  /** List voices as `GET /v1/voices` has them; what was chosen stays so if it is among them. */
  show(voices, model) {
    const before = this.chosen?.id ?? localStorage.getItem(CHOSEN);
    this.#model = model;
    this.voices = voices;
    const byLanguage = Map.groupBy
      ? Map.groupBy(voices, (voice) => voice.language)
      : voices.reduce((map, voice) => map.set(voice.language, [...(map.get(voice.language) ?? []), voice]), new Map());
    this.#groups = [...byLanguage].map(([tag, members]) => this.#group(tag, members));
    this.#list.replaceChildren(...this.#groups.map(({ node }) => node));
    const ids = voices.map((voice) => voice.id);
    this.choose([before, FAVOURITE, ids[0]].find((id) => ids.includes(id)));
    this.#sift();
    // The list alone: `scrollIntoView` would take the page along, on small screens out of sight.
    const row = this.#list.querySelector(".voice:has(input:checked)");
    if (row) this.#list.scrollTop = row.offsetTop - this.#list.clientHeight / 2;
  }

  #group(tag, members) {
    const name = language(tag);
    const rows = members.map((voice) => ({
      words: `${voice.id} ${voice.name} ${name} ${voice.gender ?? ""}`.toLowerCase(),
      node: this.#row(voice),
    }));
    const heading = element("h3", { id: `voices-${tag}` }, name);
    const node = element("div", { class: "group", role: "group", "aria-labelledby": heading.id },
      heading, rows.map((row) => row.node));
    return { node, rows };
  }

  #row(voice) {
    const radio = element("input", { type: "radio", name: "voice", value: voice.id });
    const label = element("label", {}, radio,
      element("span", { class: "name" }, voice.name),
      element("span", { class: "quiet" }, voice.gender ?? ""));
    const listen = element("button", {
      type: "button", class: "listen", "aria-label": `Listen to ${voice.name}`, "aria-pressed": "false",
      onclick: () => this.#listening.press(listen, (signal) => sampleOf(voice, this.#model, signal)),
    });
    return element("div", { class: "voice", data: { voice: voice.id } }, label, listen);
  }

  #sift() {
    const wanted = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { node, rows } of this.#groups) {
      for (const row of rows) row.node.hidden = !wanted.every((word) => row.words.includes(word));
      const left = rows.filter((row) => !row.node.hidden).length;
      node.hidden = left === 0;
      shown += left;
    }
    byId("voices-none").hidden = shown > 0 || this.voices.length === 0;
    say(byId("voices-count"), wanted.length ? `${shown} of ${this.voices.length}` : `${this.voices.length}`);
  }
}
