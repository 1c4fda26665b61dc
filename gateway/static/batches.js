/** Batches: a list of them, and one with its jobs. */

import { askJson } from "./api.js";
import { byId, element, say } from "./element.js";
import { row } from "./jobs.js";
import { problem } from "./notices.js";
import { many, moment, whole } from "./words.js";

const PAGE = 20;
const AGAIN_MS = 2000;

let timer = null;
let turn = 0; // raised by each new look: an older answer is of no use
let shown = null; // the id of the batch that is shown, or null for all

export function startBatches() {
  byId("batches-more").addEventListener("click", () => look(byId("batches-more").dataset.after));
}

/** Show all batches, or one with its jobs. */
export function openBatches(id) {
  closeBatches();
  shown = id ?? null;
  byId("batches-problem").replaceChildren();
  byId("batches-list").replaceChildren();
  byId("batches-crumb").hidden = shown === null;
  byId("batches-more").hidden = true;
  byId("batches-none").hidden = true;
  say(byId("batches-heading"), shown === null ? "Batches" : "Batch");
  look(null);
}

export function closeBatches() {
  clearTimeout(timer);
  turn += 1;
}

/** @param after the page before's cursor; null for the first page, which replaces what is shown. */
async function look(after) {
  clearTimeout(timer);
  const mine = (turn += 1);
  try {
    const moves = shown === null ? await lookAtAll(after, mine) : await lookAtOne(after, mine);
    if (mine !== turn) return;
    byId("batches-problem").replaceChildren();
    // Whoever has gone on to further pages is not thrown back to the first.
    if (moves && after === null) timer = setTimeout(again, AGAIN_MS);
  } catch (error) {
    if (mine !== turn) return;
    problem(byId("batches-problem"), error);
    timer = setTimeout(again, AGAIN_MS);
  }
}

/** Look again, but not while nobody looks. */
function again() {
  if (document.hidden) timer = setTimeout(again, AGAIN_MS);
  else look(null);
}

async function lookAtAll(after, mine) {
  const page = await askJson(`v1/batches?${query(after)}`);
  if (mine !== turn) return false;
  list(page, after, page.data.map((batch) => element("li", {}, card(batch, true))));
  byId("batches-none").hidden = byId("batches-list").children.length > 0;
  return page.data.some(goesOn);
}

async function lookAtOne(after, mine) {
  const path = `v1/batches/${encodeURIComponent(shown)}`;
  const [batch, page] = await Promise.all([askJson(path), askJson(`${path}/jobs?${query(after)}`)]);
  if (mine !== turn) return false;
  const rows = page.data.map((job) => row(job, job.custom_id));
  list(page, after, after === null ? [element("li", {}, card(batch, false)), ...rows] : rows);
  return goesOn(batch);
}

function query(after) {
  return new URLSearchParams({ limit: PAGE, ...(after ? { after } : {}) });
}

/** Show rows, and leave the focus where it was. */
function list(page, after, rows) {
  const place = byId("batches-list");
  const before = place.contains(document.activeElement) ? document.activeElement.dataset.focus ?? document.activeElement.getAttribute("href") : null;
  if (after) place.append(...rows);
  else place.replaceChildren(...rows);
  if (before) [...place.querySelectorAll("a, button")].find((one) => (one.dataset.focus ?? one.getAttribute("href")) === before)?.focus();
  byId("batches-more").hidden = !page.has_more;
  byId("batches-more").dataset.after = page.after ?? "";
}

function goesOn({ status }) {
  return status === "in_progress";
}

function card(batch, links) {
  const { total, succeeded, failed, canceled, expired } = batch.request_counts;
  const ended = succeeded + failed + canceled + expired;
  const name = `Batch of ${moment(batch.created_at)}`;
  const parts = [`${whole(ended)} of ${many(total, "job")} ended`, many(batch.input_chars, "character")];
  for (const [count, what] of [[failed, "failed"], [canceled, "canceled"], [expired, "expired"]]) {
    if (count) parts.push(`${whole(count)} ${what}`);
  }
  const status = goesOn(batch) ? "processing" : batch.status === "completed" && succeeded === total ? "succeeded" : batch.status;
  return element("div", { class: "card batch" },
    element("div", { class: "row between" },
      links ? element("a", { href: `#/batches/${batch.id}` }, name) : element("b", {}, name),
      element("span", { class: "chip", data: { status } }, batch.status.replace("_", " "))),
    element("progress", { max: total, value: ended, "aria-label": `Jobs of ${name} that have ended` }),
    element("div", { class: "row between" },
      element("span", { class: "quiet" }, parts.join(" · ")),
      goesOn(batch) ? cancelButton(batch) : null));
}

function cancelButton(batch) {
  const button = element("button", {
    type: "button", data: { focus: `cancel ${batch.id}` },
    onclick: async () => {
      button.disabled = true;
      try {
        await askJson(`v1/batches/${encodeURIComponent(batch.id)}/cancel`, { method: "POST" });
        look(null);
      } catch (error) {
        button.disabled = false;
        problem(byId("batches-problem"), error);
      }
    },
  }, "Cancel");
  return button;
}
