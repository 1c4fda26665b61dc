/** Files of jobs onto the user's disk. */

import { address, ask, key } from "./api.js";
import { element } from "./element.js";

/** Save what a path answers; a browser sends no key along with a link, so then it is fetched here. */
export async function download(path, name) {
  if (!key()) {
    save(address(path), name);
    return;
  }
  const url = URL.createObjectURL(await (await ask(path)).blob());
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function save(href, name) {
  const link = element("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
