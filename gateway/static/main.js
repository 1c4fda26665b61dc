/** Puts the page together: what is shown for which address, and what the cluster is asked first. */

import { startAccess } from "./access.js";
import { askJson, isTemporary, signals } from "./api.js";
import { closeBatches, openBatches, startBatches } from "./batches.js";
import { closeCluster, openCluster } from "./cluster.js";
import { byId, say } from "./element.js";
import { startFiles } from "./files.js";
import { closeJobs, openJobs, startJobs } from "./jobs.js";
import { closeJob, openJob, startJobView } from "./jobview.js";
import { closeLexicons, openLexicons, startLexicons } from "./lexicons.js";
import { problem } from "./notices.js";
import { attach, closeSpeak, offer, openSpeak, startSpeak, voicesAtHand, write } from "./speak.js";

const AGAIN_MS = 2000;
const REVEAL_MS = 800; // the longest wait for that
const THEMES = ["auto", "light", "dark"];
/** Of each view: its title, its place in the navigation, what opens and what closes it. */
const VIEWS = {
  speak: { title: "Speak", open: openSpeak, close: closeSpeak },
  jobs: { title: "Jobs", open: openJobs, close: closeJobs },
  job: { title: "Job", below: "jobs", open: openJob, close: closeJob },
  batches: { title: "Batches", open: openBatches, close: closeBatches },
  lexicons: { title: "Lexicons", open: openLexicons, close: closeLexicons },
  cluster: { title: "Cluster", open: openCluster, close: closeCluster },
};

function route() {
  const [name, id] = location.hash.replace(/^#\//, "").split("/");
  const view = name === "jobs" && id ? "job" : Object.hasOwn(VIEWS, name) && name !== "job" ? name : "speak";
  for (const { close } of Object.values(VIEWS)) close();
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = section.id !== `view-${view}`;
  }
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === (VIEWS[view].below ?? view);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[view].title} – Kokoro Cluster`;
  VIEWS[view].open(id && decodeURIComponent(id));
  scrollTo(0, 0);
}

/** Ask what there is to choose from; while nothing is loaded yet, ask again. */
async function begin() {
  const place = byId("speak-problem");
  // Shown once it is known what there is to show, so that nothing moves under a hand.
  setTimeout(reveal, REVEAL_MS);
  try {
    const [voices, models] = await Promise.all([askJson("v1/voices"), askJson("v1/models")]);
    const [model] = models.data;
    offer(voices.data, model);
    byId("stand-in").hidden = !model.stand_in;
    say(byId("stand-in-model"), model.id);
    place.replaceChildren();
  } catch (error) {
    problem(place, error);
    // Workers are still loading, or the server is away; a missing key is asked for by its dialog.
    if (isTemporary(error)) setTimeout(begin, AGAIN_MS);
  } finally {
    reveal();
  }
}

function reveal() {
  document.body.dataset.ready = "";
}

function startTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const show = () => {
    const theme = root.dataset.theme ?? "auto";
    say(button, { auto: "◐", light: "○", dark: "●" }[theme]);
    button.title = `Theme: ${theme}`;
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    localStorage.setItem("kc-theme", next);
    show();
  });
  show();
}

startTheme();
startSpeak();
startFiles(write, attach);
startJobs();
startBatches();
startLexicons(voicesAtHand);
startJobView(voicesAtHand);
startAccess(() => {
  begin();
  route();
});
signals.addEventListener("unreachable", () => { byId("offline").hidden = false; });
signals.addEventListener("reachable", () => { byId("offline").hidden = true; });
addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // its address would be taken for a view's
  byId("main").focus();
});
begin();
route();
