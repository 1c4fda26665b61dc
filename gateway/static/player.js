/**
 * Plays a job segment by segment, the first as soon as it is rendered, without gaps.
 *
 * In: the job's segments as they get done. Out: sound, and where in the audio it is. Half a minute
 * is decoded ahead and no more, so that a long book needs no more memory than a short text.
 */

import { ask, isTemporary } from "./api.js";
import { below } from "./codepoints.js";

const AHEAD_S = 30;
const SAMPLE_RATE_HZ = 24_000; // the segments' own: resampling each alone would be heard between them
const LEAD_S = 0.06; // between scheduling and sounding
const TICK_MS = 200;
const REST_MS = 1000; // after the server was away

export class SegmentPlayer extends EventTarget {
  #follower;
  #context = null;
  #timer = null;
  #playing = false;
  #position = 0;
  #skip = 0; // seconds of the next segment to leave out, after a seek
  #next = 0;
  #parts = []; // scheduled: {at, lasts, media, node}; `at` in the context's time
  #turn = 0; // raised by a seek: what was under way before is of no use
  #pumping = false;
  #restUntil = 0;
  #fetching = new AbortController();
  #state = "paused";

  /** @param follower has `segments` and `ended`, and fires `change`. */
  constructor(follower) {
    super();
    this.#follower = follower;
    this.onChange = () => this.#tick();
    follower.addEventListener("change", this.onChange);
  }

  /** Seconds in the job's audio. */
  get currentTime() {
    const now = this.#context?.currentTime ?? 0;
    const part = this.#parts.findLast(({ at }) => at <= now);
    return part ? part.media + Math.min(part.lasts, now - part.at) : this.#position;
  }

  /** Seconds that can be played by now. */
  get duration() {
    return this.#follower.segments.at(-1)?.end_s ?? 0;
  }

  /** `paused`, `playing`, `waiting` for what is not rendered or fetched yet, or `ended`. */
  get state() {
    return this.#state;
  }

  /** To be called in a click or a key press: browsers start no sound otherwise. */
  play() {
    this.#context ??= new AudioContext({ sampleRate: SAMPLE_RATE_HZ });
    if (this.#state === "ended") this.seek(0);
    this.#playing = true;
    this.#context.resume();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  pause() {
    this.#playing = false;
    this.#context?.suspend();
    clearInterval(this.#timer);
    this.#timer = null;
    this.#become("paused");
  }

  seek(seconds) {
    const { segments } = this.#follower;
    const to = Math.max(0, Math.min(seconds, this.duration - 0.001));
    this.#turn += 1;
    this.#fetching.abort();
    this.#fetching = new AbortController();
    for (const { node } of this.#parts) node?.stop();
    this.#parts = [];
    this.#position = to;
    this.#next = below(segments, (segment) => segment.end_s <= to);
    this.#skip = Math.max(0, to - (segments[this.#next]?.start_s ?? to));
    if (this.#state === "ended") this.#become("paused");
    this.dispatchEvent(new Event("change"));
    this.#tick();
  }

  /** Give everything back. */
  close() {
    this.pause();
    this.#turn += 1;
    this.#fetching.abort();
    this.#follower.removeEventListener("change", this.onChange);
    this.#context?.close();
    this.#context = null;
  }

  get #scheduledUntil() {
    const last = this.#parts.at(-1);
    return last ? last.at + last.lasts : 0;
  }

  #tick() {
    if (!this.#playing) return;
    const now = this.#context.currentTime;
    const started = this.#parts.findLastIndex(({ at }) => at <= now);
    this.#parts.splice(0, Math.max(0, started)); // what was heard is let go
    const sounding = this.#scheduledUntil > now;
    const all = this.#follower.ended && this.#next >= this.#follower.segments.length;
    if (!sounding && all) {
      this.pause();
      this.#become("ended");
      return;
    }
    this.#become(sounding ? "playing" : "waiting");
    this.#pump();
  }

  async #pump() {
    if (this.#pumping || performance.now() < this.#restUntil) return;
    this.#pumping = true;
    const turn = this.#turn;
    try {
      while (turn === this.#turn && this.#playing && this.#isHungry()) {
        const segment = this.#follower.segments[this.#next];
        const buffer = segment.pause ? null : await this.#fetch(segment);
        if (turn === this.#turn) this.#schedule(segment, buffer);
      }
    } catch (error) {
      if (isTemporary(error)) this.#restUntil = performance.now() + REST_MS;
      else if (error.name !== "AbortError") this.#fail(error); // that was left behind by a seek
    } finally {
      this.#pumping = false;
    }
    if (turn !== this.#turn) this.#tick();
  }

  #isHungry() {
    const ahead = this.#scheduledUntil - this.#context.currentTime;
    return ahead < AHEAD_S && this.#next < this.#follower.segments.length;
  }

  async #fetch(segment) {
    const path = `${this.#follower.path}/segments/${segment.index}/audio?redirect=false`;
    const answer = await ask(path, { signal: this.#fetching.signal });
    return this.#context.decodeAudioData(await answer.arrayBuffer());
  }

  #schedule(segment, buffer) {
    const whole = buffer ? buffer.duration : segment.end_s - segment.start_s;
    const skip = Math.min(this.#skip, whole);
    const at = Math.max(this.#scheduledUntil, this.#context.currentTime + LEAD_S);
    let node = null;
    if (buffer) {
      node = new AudioBufferSourceNode(this.#context, { buffer });
      node.connect(this.#context.destination);
      node.start(at, skip);
    }
    this.#parts.push({ at, lasts: whole - skip, media: segment.start_s + skip, node });
    this.#skip = 0;
    this.#next += 1;
    this.#tick();
  }

  #fail(error) {
    this.#position = this.currentTime;
    this.pause();
    this.dispatchEvent(Object.assign(new Event("error"), { error }));
  }

  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("change"));
  }
}
