/** The list of jobs, newest first; what moves in it is looked at again every few seconds. */

import { askJson } from "./api.js";
import { byId, element, say } from "./element.js";
import { hasEnded } from "./follow.js";
import { forgetAllJobs, keptJobs } from "./keep.js";
import { problem } from "./notices.js";
import { SPOKEN_ID } from "./spoken.js";
import { about, many, moment, span, title } from "./words.js";

const PAGE = 20;
const AGAIN_MS = 3000;

let timer = null;
let turn = 0; // raised by each new look: an older answer is of no use

export function startJobs() {
  byId("status-filter").addEventListener("change", () => openJobs());
  byId("more").addEventListener("click", () => load(byId("more").dataset.after));
  byId("forget").addEventListener("click", async () => {
    await forgetAllJobs();
    openJobs();
  });
}

export function openJobs() {
  closeJobs();
  byId("jobs-problem").replaceChildren();
  load(null);
}

export function closeJobs() {
  clearTimeout(timer);
  turn += 1;
}

/** @param after the page before's cursor; null for the first page, which replaces what is shown. */
async function load(after) {
  clearTimeout(timer);
  const mine = (turn += 1);
  const wanted = new URLSearchParams({ limit: PAGE });
  if (byId("status-filter").value) wanted.set("status", byId("status-filter").value);
  if (after) wanted.set("after", after);
  try {
    const [page, kept] = await Promise.all([askJson(`v1/jobs?${wanted}`), keptJobs()]);
    if (mine !== turn) return;
    show(page, kept, after);
    byId("jobs-problem").replaceChildren();
  } catch (error) {
    if (mine === turn) problem(byId("jobs-problem"), error);
  }
  // Whoever has gone on to further pages is not thrown back to the first.
  if (mine === turn && after === null) timer = setTimeout(again, AGAIN_MS);
}

/** Look again, but not while nobody looks. */
function again() {
  if (document.hidden) timer = setTimeout(again, AGAIN_MS);
  else load(null);
}

function show(page, kept, after) {
  const titles = new Map(kept.map(({ id, request }) => [id, title(request)]));
  const jobs = page.data.filter((job) => job.custom_id !== SPOKEN_ID);
  const rows = jobs.map((job) => row(job, titles.get(job.id)));
  const list = byId("jobs-list");
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  if (after) list.append(...rows);
  else list.replaceChildren(...rows);
  if (focused) [...list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
  byId("more").hidden = !page.has_more;
  byId("more").dataset.after = page.after ?? "";
  byId("jobs-none").hidden = list.children.length > 0;
  say(byId("jobs-none"), byId("status-filter").value
    ? `No job is ${byId("status-filter").value}.`
    : "No jobs yet. What you have spoken is listed here.");
  byId("kept-note").hidden = kept.length === 0;
  say(byId("kept-count"), many(kept.length, "job"));
}

/** A job as lists have it: a link to its view. */
export function row(job, name) {
  return element("li", {}, element("a", { class: "job", href: `#/jobs/${job.id}` },
    element("span", { class: "job-name" }, name || job.title || job.custom_id || job.id),
    element("span", { class: "chip", data: { status: job.status } }, job.status),
    element("span", { class: "quiet job-more" }, details(job))));
}

function details(job) {
  const { segments_total: total, segments_done: done, audio_s: audio } = job.progress;
  const parts = [moment(job.created_at), many(job.input_chars, "character")];
  if (job.output) parts.push(`${span(job.output.audio_s)} of ${job.output.format.toUpperCase()}`);
  else if (audio) parts.push(`${span(audio)} of audio`);
  if (!hasEnded(job) && total) parts.push(`${Math.floor((100 * done) / total)} %`);
  if (!hasEnded(job) && job.eta_s !== null) parts.push(`${about(job.eta_s)} left`);
  if (job.error) parts.push(job.error.message);
  return parts.join(" · ");
}
