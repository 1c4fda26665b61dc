/** A job's files onto the user's disk, and its chapters: where each begins, and its own file. */

import { key } from "./api.js";
import { download } from "./download.js";
import { byId, element } from "./element.js";
import { bytes, clock } from "./words.js";

const CAPTIONS = {
  srt: ["Captions as SRT", "captions.srt", "srt"],
  vtt: ["Captions as WebVTT", "captions.vtt", "vtt"],
  words: ["Words as JSON", "captions.json", "json"],
};

export class JobFiles {
  #follower;
  #onError;
  #onSeek;
  #shown = "";
  #chaptersShown = "";
  #now = null; // the chapter that is heard

  /**
   * @param follower of the job.
   * @param onSeek gets the second at which a chapter begins.
   * @param onError gets why a file was not to be had.
   */
  constructor(follower, onSeek, onError) {
    this.#follower = follower;
    this.#onSeek = onSeek;
    this.#onError = onError;
    byId("downloads").replaceChildren();
    byId("chapters").replaceChildren();
    byId("chapters-card").hidden = true;
    byId("downloads-none").hidden = false;
  }

  show() {
    const { job } = this.#follower;
    this.#showFiles(job);
    this.#showChapters(job);
  }

  /** Mark the chapter that is heard. */
  mark(seconds) {
    const chapters = this.#follower.job?.chapters ?? [];
    const at = chapters.findLastIndex(({ start_s: start }) => start !== null && start <= seconds);
    if (at === this.#now) return;
    this.#now = at;
    for (const [index, item] of [...byId("chapters").children].entries()) {
      const go = item.querySelector(".go");
      if (index === at) go.setAttribute("aria-current", "true");
      else go.removeAttribute("aria-current");
    }
  }

  #showFiles(job) {
    const all = job.output ? [job.output, ...job.output.others] : [];
    const files = all.filter((file) => !file.chapter);
    const captions = job.output?.captions ?? [];
    const wanted = [...files, ...captions].map((file) => file.format).join();
    if (this.#shown === wanted) return;
    this.#shown = wanted;
    byId("downloads-none").hidden = files.length > 0;
    byId("downloads").replaceChildren(
      ...files.map((file) => this.#file(
        `${file.format.toUpperCase()} · ${bytes(file.bytes)}`,
        audio(file.format),
        file.format,
      )),
      ...captions.map(({ format }) => this.#file(...CAPTIONS[format])),
    );
  }

  #showChapters(job) {
    const chapters = job.chapters ?? [];
    const files = new Set((job.output?.others ?? []).filter(({ chapter, format }) => chapter && format === job.output.format).map(({ chapter }) => chapter));
    const wanted = `${chapters.length} ${chapters[0]?.start_s} ${files.size}`;
    byId("chapters-card").hidden = chapters.length === 0;
    if (this.#chaptersShown === wanted) return;
    this.#chaptersShown = wanted;
    this.#now = null;
    byId("chapters").replaceChildren(...chapters.map((chapter, index) => {
      const known = chapter.start_s !== null;
      const name = chapter.title || "Before the first";
      const go = element("button", {
        type: "button", class: "go", disabled: !known, onclick: () => this.#onSeek(chapter.start_s),
      }, element("span", {}, name), element("span", { class: "quiet" }, known ? clock(chapter.start_s) : ""));
      return element("li", { class: "chapter" }, go, files.has(index + 1) ? this.#chapterFile(job, index + 1, name) : null);
    }));
  }

  #chapterFile(job, number, name) {
    const { format } = job.output;
    const file = `${String(number).padStart(2, "0")} ${name.replace(/[\s\\/:*?"<>|]+/g, " ").trim()}.${format}`;
    const button = element("button", {
      type: "button", class: "get", "aria-label": `Download ${name} as ${format.toUpperCase()}`,
      onclick: () => this.#download(button, `${audio(format)}&chapter=${number}`, file),
    }, "↓");
    return button;
  }

  #file(label, tail, extension) {
    const button = element("button", {
      type: "button", class: "file", data: { file: extension },
      onclick: () => this.#download(button, tail, `${this.#follower.id}.${extension}`),
    }, label);
    return element("li", {}, button);
  }

  async #download(button, tail, name) {
    button.disabled = true;
    try {
      await download(`${this.#follower.path}/${tail}`, name);
    } catch (error) {
      this.#onError(error);
    } finally {
      button.disabled = false;
    }
  }
}

function audio(format) {
  return `audio?format=${format}${key() ? "&redirect=false" : ""}`;
}
