/** Submissions: their bodies, and what makes a repeat safe. */

import { askJson } from "./api.js";

/** Submit a request, which has an `input` or a `file`; the same again after a broken connection makes no second job. */
export function create(asked) {
  return askJson("v1/jobs", { method: "POST", headers: once(), ...body(asked) });
}

/** Submit items as one batch, all or none. */
export function createBatch(items) {
  return askJson("v1/batches", { method: "POST", headers: once(), json: { items } });
}

/** Say a segment of a finished job anew: a new job. */
export function createRedo(path, segment, asked) {
  return askJson(`${path}/segments/${segment}/redo`, { method: "POST", headers: once(), json: asked });
}

/** The body of a request, for `ask`: JSON, or a form with a file. */
export function body({ file, timing, ...job }) {
  if (!file) return { json: job };
  const form = new FormData();
  form.append("job", JSON.stringify(job));
  if (timing) form.append("srt_timing", "true");
  form.append("file", file, file.name);
  return { body: form };
}

function once() {
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("");
  return { "Idempotency-Key": key };
}
