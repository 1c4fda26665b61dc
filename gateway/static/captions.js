/** When each word is spoken, and where it stands in the text; while a job runs, of its beginning. */

import { ApiError, askJson, isTemporary } from "./api.js";
import { below } from "./codepoints.js";

const AGAIN_MS = 1500;
const AHEAD_S = 5; // what is known beyond the place that is heard is enough

export class Captions extends EventTarget {
  words = [];
  sentences = [];
  #follower;
  #after = null; // where the next part goes on; null from the beginning
  #complete = false;
  #asking = false;
  #wasEnded = false;
  #askedAt = -Infinity;

  constructor(follower) {
    super();
    this.#follower = follower;
  }

  /** Ask for what is missing, if it is wanted by now. @param until seconds of the audio. */
  async reach(until) {
    const { ended, job, segments, path } = this.#follower;
    if (ended && !this.#wasEnded) this.#askedAt = -Infinity;
    this.#wasEnded = ended;
    if (!job?.urls.captions || this.#complete || this.#asking) return;
    if (ended ? job.status !== "succeeded" : segments.length === 0) return;
    const known = this.words.at(-1)?.end_s ?? 0;
    const soon = performance.now() < this.#askedAt + AGAIN_MS;
    if (soon || (!ended && until + AHEAD_S < known)) return;
    this.#asking = true;
    this.#askedAt = performance.now();
    const part = `?partial=1${this.#after ? `&after=${this.#after}` : ""}`;
    try {
      this.#take(await askJson(`${path}/captions.json${ended ? "" : part}`));
    } catch (error) {
      if (isTemporary(error)) return;
      if (!(error instanceof ApiError)) throw error;
      this.#complete = ended; // deleted: there is no more to be had
    } finally {
      this.#asking = false;
    }
  }

  #take(found) {
    const first = found.complete || this.#after === null;
    this.words = first ? found.words : this.words.concat(found.words);
    this.sentences = first ? found.sentences : this.sentences.concat(found.sentences);
    this.#complete = found.complete;
    this.#after = found.after;
    this.dispatchEvent(new Event("change"));
  }

  /** The word that is spoken at a time, or the last one before it; undefined before the first. */
  at(seconds) {
    return this.words[below(this.words, (word) => word.start_s <= seconds) - 1];
  }

  /** The word at, or next after, a code point. */
  in(point) {
    return this.words[below(this.words, (word) => word.span.end <= point)];
  }
}
