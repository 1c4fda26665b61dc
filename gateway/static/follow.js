/**
 * One job as it moves: its events as they happen, or its state asked for again and again where
 * events can't be had. Fires `change` for whatever is new.
 */

import { ask, askJson, isMissing, isTemporary } from "./api.js";
import { readEvents } from "./sse.js";

const AGAIN_MS = 1000;
const TELL_MS = 60; // events come in bursts: what they change is told of once
const ENDED = new Set(["succeeded", "failed", "canceled", "expired"]);

export function hasEnded(job) {
  return ENDED.has(job.status);
}

export class Follower extends EventTarget {
  #stopping = new AbortController();
  #lastId = null;
  #telling = null;
  #toldOfEnd = false; // by an event, which leaves chapters out

  /** The job as last heard of, or null. */
  job = null;
  /** Segments in the audio's order, each once all before it are done: `{index, pause, start_s, end_s, text}`. */
  segments = [];
  /** `queue`, `plan`, `render`, `assemble`, or `end`. */
  stage = "queue";

  constructor(id) {
    super();
    this.id = id;
    this.path = `v1/jobs/${encodeURIComponent(id)}`;
  }

  get ended() {
    return this.job !== null && hasEnded(this.job);
  }

  /** Follow until the job has ended; an `error` event has why that was given up. */
  async start() {
    try {
      await this.#patiently(() => this.#look());
      let byEvents = true;
      while (!this.ended) {
        if (byEvents) byEvents = await this.#patiently(() => this.#listen());
        else await this.#patiently(() => this.#look());
        if (!this.ended) await this.#pause();
      }
      if (this.#toldOfEnd) await this.#patiently(() => this.#lookOnce());
    } catch (error) {
      if (error.name === "AbortError") return;
      this.dispatchEvent(Object.assign(new Event("error"), { error }));
    }
  }

  stop() {
    this.#stopping.abort();
    clearTimeout(this.#telling);
  }

  /** Take a job that another call has returned. */
  take(job) {
    this.job = { ...this.job, ...job };
    if (job.segments) this.segments = placed(job.segments);
    this.#restage();
  }

  async #lookOnce() {
    this.take(await askJson(this.path, { signal: this.#stopping.signal }));
  }

  async #look() {
    const options = { signal: this.#stopping.signal };
    // A job under way tells of its segments itself; a long one has thousands.
    const job = this.job === null ? await askJson(this.path, options) : null;
    if (job && !hasEnded(job)) this.take(job);
    else this.take(await askJson(`${this.path}?include=segments`, options));
  }

  /** Listen until the stream ends; return false if this gateway has none. */
  async #listen() {
    const headers = this.#lastId === null ? {} : { "Last-Event-ID": this.#lastId };
    const options = { headers, signal: this.#stopping.signal };
    let answer;
    try {
      answer = await ask(`${this.path}/events`, options);
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    try {
      for await (const { id, event, data } of readEvents(answer)) {
        this.#lastId = id ?? this.#lastId;
        this.#hear(event, data);
      }
    } catch (error) {
      if (error.name === "AbortError") throw error;
      // Cut off: asked for again from where it was.
    }
    return true;
  }

  #hear(event, data) {
    if (ENDED.has(event)) {
      this.job = { ...data, queue_position: null, eta_s: null };
      this.#toldOfEnd = true;
    } else if (event === "segment") {
      if (data.index >= this.segments.length) this.segments.push(data);
    } else if (event === "progress") {
      const { stage, eta_s: eta, ...progress } = data;
      this.job = { ...this.job, status: "processing", queue_position: null, eta_s: eta, progress };
      this.stage = stage;
      this.#tell();
      return;
    } else {
      this.job = { ...this.job, ...data };
    }
    this.#restage();
  }

  #restage() {
    const { status, progress } = this.job;
    if (hasEnded(this.job)) this.stage = "end";
    else if (status === "queued") this.stage = "queue";
    else if (progress.segments_total === 0) this.stage = "plan";
    else if (progress.segments_done < progress.segments_total) this.stage = "render";
    else this.stage = "assemble";
    this.#tell();
  }

  #tell() {
    this.#telling ??= setTimeout(() => {
      this.#telling = null;
      this.dispatchEvent(new Event("change"));
    }, TELL_MS);
  }

  async #patiently(work) {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isTemporary(error)) throw error;
        await this.#pause();
      }
    }
  }

  #pause() {
    return new Promise((resolve, reject) => {
      const { signal } = this.#stopping;
      const timer = setTimeout(resolve, AGAIN_MS);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      }, { once: true });
    });
  }
}

/** The segments whose place in the audio is known. */
function placed(segments) {
  const end = segments.findIndex((segment) => segment.end_s === null);
  return end < 0 ? segments : segments.slice(0, end);
}
