/** Lexicons: a list of them, and one with its words to change, to hear and to store. */

import { ask, askJson } from "./api.js";
import { byId, element, say } from "./element.js";
import { problem } from "./notices.js";
import { Listening, spoken } from "./spoken.js";
import { language, many, moment } from "./words.js";

const FIRST_NAME = "words";
const SHOWN = 200; // rows of inputs; a filter finds the others

let voicesAtHand = () => [];
let turn = 0;
let taught = null; // a word that the next lexicon to be opened gets
let open = null;

const listening = new Listening((error) => problem(byId("lexicon-problem"), error));

/** @param voices returns the voices that are loaded, the one to hear with first. */
export function startLexicons(voices) {
  voicesAtHand = voices;
  byId("lexicon-new").addEventListener("click", () => { location.hash = "#/lexicons/new"; });
  byId("entry-add").addEventListener("click", () => open?.add({ word: "", said: "" }));
  byId("entry-filter").addEventListener("input", () => open?.show());
  byId("lexicon-form").addEventListener("input", () => open?.changed());
  byId("lexicon-form").addEventListener("submit", (event) => {
    event.preventDefault();
    open?.save();
  });
  byId("lexicon-delete").addEventListener("click", () => open?.remove());
}

/** Say a word otherwise: open a lexicon with a row for it, the one that is there or a new one. */
export async function teach(word) {
  taught = word;
  let found = [];
  try {
    found = (await askJson("v1/lexicons")).data;
  } catch {
    // The view tells of it.
  }
  location.hash = `#/lexicons/${found.length ? encodeURIComponent(found[0].name) : "new"}`;
}

/** Show all lexicons, or one by its name; `new` is one that is not stored yet. */
export async function openLexicons(name) {
  closeLexicons();
  const mine = turn;
  byId("lexicons-problem").replaceChildren();
  byId("lexicon-problem").replaceChildren();
  byId("lexicon-body").hidden = true;
  byId("lexicons-body").hidden = Boolean(name);
  try {
    if (!name) {
      const { data } = await askJson("v1/lexicons");
      if (mine === turn) showAll(data);
      return;
    }
    const path = `v1/lexicons/${encodeURIComponent(name)}`;
    const found = name === "new" ? { name: "", language: null, entries: [] } : await askJson(path);
    if (mine !== turn) return;
    open = new Editor(found);
    if (taught) open.add({ word: taught, said: "" });
    else if (name === "new") open.add({ word: "", said: "" });
    taught = null;
  } catch (error) {
    if (mine === turn) problem(byId("lexicons-problem"), error);
  }
}

export function closeLexicons() {
  turn += 1;
  open = null;
  listening.hush();
}

function showAll(found) {
  byId("lexicons-empty").hidden = found.length > 0;
  byId("lexicons-list").replaceChildren(...found.map((lexicon) => element("li", {},
    element("a", { class: "job", href: `#/lexicons/${encodeURIComponent(lexicon.name)}` },
      element("span", { class: "job-name" }, lexicon.name),
      element("span", { class: "quiet" }, `version ${lexicon.version}`),
      element("span", { class: "quiet job-more" }, [
        many(lexicon.entries_total, "word"),
        lexicon.language ? language(lexicon.language) : "all languages",
        moment(lexicon.updated_at),
      ].join(" · "))))));
}

class Editor {
  #entries;
  #stored;

  constructor(lexicon) {
    this.#stored = lexicon.name;
    this.#entries = lexicon.entries.map(({ word, phonemes, respelling, case_sensitive: exact }) =>
      ({ word, said: phonemes ? `/${phonemes}/` : respelling, exact }));
    const voices = voicesAtHand();
    const tags = [...new Set([lexicon.language, ...voices.map((voice) => voice.language)].filter(Boolean))].sort();
    byId("lexicon-language").replaceChildren(
      element("option", { value: "" }, "All languages"),
      ...tags.map((tag) => element("option", { value: tag }, language(tag))));
    byId("lexicon-language").value = lexicon.language ?? "";
    byId("lexicon-name").value = lexicon.name || FIRST_NAME;
    byId("lexicon-name").readOnly = Boolean(lexicon.name);
    byId("lexicon-delete").hidden = !lexicon.name;
    byId("entry-filter").value = "";
    say(byId("lexicon-title"), lexicon.name || "A new lexicon");
    say(byId("lexicon-state"), lexicon.version ? `Version ${lexicon.version}` : "");
    byId("lexicon-body").hidden = false;
    this.show();
  }

  /** Add a row at the top and go to it. */
  add(entry) {
    this.#entries.unshift({ exact: false, ...entry });
    byId("entry-filter").value = "";
    this.show();
    const [word, said] = byId("entries").querySelectorAll("input");
    (entry.word ? said : word).focus();
    if (entry.word) this.changed();
  }

  changed() {
    say(byId("lexicon-state"), "Not saved yet");
  }

  show() {
    const wanted = byId("entry-filter").value.trim().toLowerCase();
    const found = this.#entries.filter(({ word, said }) => `${word} ${said}`.toLowerCase().includes(wanted));
    const shown = found.slice(0, SHOWN);
    byId("entries").replaceChildren(...shown.map((entry) => this.#row(entry)));
    byId("entry-tools").hidden = this.#entries.length < 8;
    byId("entries-more").hidden = found.length <= SHOWN;
    say(byId("entries-more"), `These are ${SHOWN} of ${found.length}; find the others by their letters.`);
  }

  #row(entry) {
    const field = (name, label, hint) => element("input", {
      type: "text", value: entry[name], "aria-label": label, placeholder: hint, spellcheck: false, autocapitalize: "off",
      oninput: (event) => { entry[name] = event.target.value; },
    });
    const exact = element("input", {
      type: "checkbox", checked: entry.exact, onchange: (event) => { entry.exact = event.target.checked; },
    });
    const listen = element("button", {
      type: "button", class: "listen", "aria-label": `Hear ${entry.word || "the word"}`, "aria-pressed": "false",
      onclick: () => this.#hear(entry, listen),
    });
    const remove = element("button", {
      type: "button", class: "listen remove", "aria-label": `Remove ${entry.word || "the word"}`,
      onclick: () => {
        this.#entries.splice(this.#entries.indexOf(entry), 1);
        this.changed();
        this.show();
        byId("entry-add").focus();
      },
    });
    return element("li", { class: "entry" },
      field("word", "Word", "Word"), field("said", "How it is said", "sequel or /sˈikwəl/"),
      element("label", { class: "check" }, exact, "Capitals count"),
      element("span", { class: "row entry-buttons" }, listen, remove));
  }

  #hear(entry, button) {
    listening.press(button, (signal) => {
      const { phonemes, respelling } = said(entry);
      if (!phonemes && !respelling) throw new Error("Write how the word is said first.");
      const tag = byId("lexicon-language").value;
      const voices = voicesAtHand();
      const voice = voices.find((one) => !tag || one.language === tag) ?? voices[0];
      if (!voice) throw new Error("No voice is loaded yet.");
      const input = phonemes ? `[${entry.word.trim() || "word"}](/${phonemes}/)` : respelling;
      return spoken({ input, voice: voice.id, language: tag || voice.language || "en-us" }, signal);
    });
  }

  async save() {
    const name = byId("lexicon-name").value.trim();
    byId("lexicon-problem").replaceChildren();
    const entries = this.#entries
      .filter(({ word, said: how }) => word.trim() || how.trim())
      .map((entry) => ({ word: entry.word.trim(), ...said(entry), case_sensitive: entry.exact }));
    try {
      if (!name) throw new Error("Give the lexicon a name.");
      if (!entries.length) throw new Error("A lexicon has at least one word. To have none, delete it.");
      const json = { language: byId("lexicon-language").value || null, entries };
      const stored = await askJson(`v1/lexicons/${encodeURIComponent(name)}`, { method: "PUT", json });
      this.#entries = this.#entries.filter(({ word }) => word.trim());
      this.#stored = stored.name;
      byId("lexicon-name").readOnly = true;
      byId("lexicon-delete").hidden = false;
      say(byId("lexicon-title"), stored.name);
      say(byId("lexicon-state"), `Saved as version ${stored.version}`);
      history.replaceState(null, "", `#/lexicons/${encodeURIComponent(stored.name)}`);
    } catch (error) {
      problem(byId("lexicon-problem"), error);
    }
  }

  async remove() {
    if (!confirm(`Delete the lexicon ${this.#stored}? Jobs that were submitted with it still have it.`)) return;
    try {
      await ask(`v1/lexicons/${encodeURIComponent(this.#stored)}`, { method: "DELETE" });
      location.hash = "#/lexicons";
    } catch (error) {
      problem(byId("lexicon-problem"), error);
    }
  }
}

/** What was written of how a word is said: phonemes between slashes, or another spelling. */
function said(entry) {
  const how = entry.said.trim();
  const phonemes = /^\/(.+)\/$/.exec(how)?.[1];
  return phonemes ? { phonemes } : { respelling: how };
}
