/** A dialog that has one passage of a finished job said anew: its text, or another voice for it. */

import { ask } from "./api.js";
import { byId, element, say } from "./element.js";
import { problem } from "./notices.js";
import { createRedo } from "./requests.js";
import { Listening } from "./spoken.js";
import { clock, language, many } from "./words.js";

let open = null;

const listening = new Listening((error) => problem(byId("redo-problem"), error));

export function startRedo() {
  byId("redo-before").addEventListener("click", () => open?.go(-1));
  byId("redo-after").addEventListener("click", () => open?.go(1));
  byId("redo-hear").addEventListener("click", () => open?.hear());
  byId("redo-close").addEventListener("click", () => byId("redo-dialog").close());
  byId("redo-dialog").addEventListener("close", () => {
    listening.hush();
    open = null;
  });
  byId("redo-form").addEventListener("submit", (event) => {
    event.preventDefault();
    open?.submit();
  });
}

/** End the dialog, if it is open. */
export function closeRedo() {
  byId("redo-dialog").close();
}

/**
 * Open the dialog.
 *
 * @param follower of the finished job.
 * @param index of the segment to begin with.
 * @param textOf returns a segment's text.
 * @param voices that are loaded.
 * @param onMade gets the new job, and what was asked for.
 */
export function openRedo(follower, index, textOf, voices, onMade) {
  byId("redo-voice").replaceChildren(
    element("option", { value: "" }, "As it was"),
    ...voices.map(({ id, name, language: tag }) => element("option", { value: id }, `${name} · ${language(tag)}`)),
  );
  byId("redo-speed").value = "";
  open = new Passage(follower, textOf, onMade);
  open.show(index);
  byId("redo-dialog").showModal();
  byId("redo-text").focus();
}

class Passage {
  #follower;
  #textOf;
  #onMade;
  #spoken; // the segments that are no pauses
  #at = 0;

  constructor(follower, textOf, onMade) {
    this.#follower = follower;
    this.#textOf = textOf;
    this.#onMade = onMade;
    this.#spoken = follower.segments.filter((segment) => !segment.pause);
  }

  get #segment() {
    return this.#spoken[this.#at];
  }

  /** Show the segment of an index, or the one after a pause of that index. */
  show(index) {
    const found = this.#spoken.findIndex((segment) => segment.index >= index);
    this.#at = found < 0 ? this.#spoken.length - 1 : found;
    this.#draw();
  }

  go(step) {
    listening.hush();
    this.#at = Math.max(0, Math.min(this.#spoken.length - 1, this.#at + step));
    this.#draw();
  }

  hear() {
    const path = `${this.#follower.path}/segments/${this.#segment.index}/audio?redirect=false`;
    listening.press(byId("redo-hear"), async (signal) => (await ask(path, { signal })).blob());
  }

  async submit() {
    const place = byId("redo-problem");
    place.replaceChildren();
    // The blanks around it stay: they part it from its neighbours in the text.
    const [, before, after] = /^(\s*)[^]*?(\s*)$/.exec(this.#textOf(this.#segment));
    const asked = { input: `${before}${byId("redo-text").value.trim()}${after}` };
    if (byId("redo-voice").value) asked.voice = byId("redo-voice").value;
    if (byId("redo-speed").value) asked.speed = Number(byId("redo-speed").value);
    byId("redo-submit").disabled = true;
    try {
      if (!asked.input.trim()) throw new Error("Write what is said.");
      const job = await createRedo(this.#follower.path, this.#segment.index, asked);
      const made = this.#onMade;
      const segment = this.#segment;
      byId("redo-dialog").close();
      await made(job, segment, asked);
    } catch (error) {
      problem(place, error);
    } finally {
      byId("redo-submit").disabled = false;
    }
  }

  #draw() {
    const { start_s: from, end_s: to } = this.#segment;
    say(byId("redo-place"), `Passage ${this.#at + 1} of ${many(this.#spoken.length, "passage")}, ${clock(from)} to ${clock(to)}`);
    byId("redo-text").value = this.#textOf(this.#segment).trim();
    byId("redo-before").disabled = this.#at === 0;
    byId("redo-after").disabled = this.#at === this.#spoken.length - 1;
    byId("redo-problem").replaceChildren();
  }
}
