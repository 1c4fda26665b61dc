/** Plays a finished job's file, where its segments are no longer kept; otherwise as `SegmentPlayer`. */

import { ask } from "./api.js";

const PLAYABLE = ["mp3", "opus", "aac", "m4b", "flac", "wav"];

/** The format of a job's file that browsers play, the lightest first; undefined if there is none. */
export function playableFormat(job) {
  const made = [job.output, ...(job.output?.others ?? [])].map((file) => file?.format);
  return PLAYABLE.find((format) => made.includes(format));
}

export class FilePlayer extends EventTarget {
  #audio = new Audio();
  #fetching = new AbortController();
  #url = null;
  #wanted = false;

  constructor(follower) {
    super();
    this.follower = follower;
    for (const name of ["play", "pause", "waiting", "playing", "ended", "seeked"]) {
      this.#audio.addEventListener(name, () => this.dispatchEvent(new Event("change")));
    }
    this.#load();
  }

  get currentTime() {
    return this.#audio.currentTime;
  }

  get duration() {
    return this.follower.job.output?.audio_s ?? 0;
  }

  get state() {
    if (this.#audio.ended) return "ended";
    if (this.#wanted && (this.#url === null || this.#audio.readyState < 3)) return "waiting";
    return this.#audio.paused ? "paused" : "playing";
  }

  play() {
    this.#wanted = true;
    if (this.#url) this.#audio.play();
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    this.#wanted = false;
    this.#audio.pause();
  }

  seek(seconds) {
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.duration - 0.001));
  }

  close() {
    this.#fetching.abort();
    this.pause();
    this.#audio.removeAttribute("src");
    if (this.#url) URL.revokeObjectURL(this.#url);
  }

  async #load() {
    const { job, path } = this.follower;
    try {
      const options = { signal: this.#fetching.signal };
      const answer = await ask(`${path}/audio?redirect=false&format=${playableFormat(job)}`, options);
      this.#url = URL.createObjectURL(await answer.blob());
      this.#audio.src = this.#url;
      if (this.#wanted) this.#audio.play();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#wanted = false;
      this.dispatchEvent(Object.assign(new Event("error"), { error }));
    }
  }
}
