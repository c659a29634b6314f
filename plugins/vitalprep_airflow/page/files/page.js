// The page: every five seconds it fetches the state of the output (/status) and the run (Airflow's REST API).
// It stores nothing; the address holds what is selected.

import { counts, dollars, duration, money, number, secondsBetween, state, time } from "./words.js";
import { element, put, rows, say, stated, text } from "./tables.js";
import { join, show } from "./shards.js";

const DAG = "vitaldb_preprocessing";
const EVERY_MS = 5000;
const ROOT = new URL("..", document.baseURI); // where Airflow is served
const STAGES = ["check_config", "check_raw_data", "check_enough_cases", "plan_shards", "harmonize", "build", "publish", "validate", "dataset_ready"];
const chosen = new URLSearchParams(location.search);
const byId = (id) => document.getElementById(id);
const part = (value) => encodeURIComponent(value);
const known = new Map(); // answers that will not change
let current = null; // the run that is shown

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function asked(url, options = {}) {
  const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" }, ...options });
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Refused(401, "Your session has expired. Fix: reload the page and log in.");
  const detail = (await answer.json().catch(() => ({}))).detail;
  throw new Refused(answer.status, `${answer.status} ${typeof detail === "string" ? detail : answer.statusText}`);
}

const api = (path, options) => asked(new URL(`api/v2/dags/${DAG}${path}`, ROOT), options);
const runPath = (run) => `/dagRuns/${part(run)}`;

/** Fetch an answer that will not change, once; `other` if the visitor may not read it. */
async function once(key, ask, other) {
  if (known.has(key)) return known.get(key);
  try {
    known.set(key, await ask());
  } catch (error) {
    if (error.status !== 403) return other;
    known.set(key, other);
  }
  return known.get(key);
}

/** A task's result. */
const result = (run, task) => once(`${run.dag_run_id} ${task.task_id} ${task.try_number}`, async () =>
  (await api(`${runPath(run.dag_run_id)}/taskInstances/${task.task_id}/xcomEntries/return_value?deserialize=true`)).value, null);

/** What the AWS operators store about a shard's tries in Airflow: {tally, spot}. */
const kept = (run, task) => once(`${run.dag_run_id} ${task.map_index} ${task.try_number}`, async () => {
  const path = `${runPath(run.dag_run_id)}/taskInstances/harmonize/state-store?map_index=${task.map_index}`;
  const { task_state_store: found } = await api(path);
  return Object.fromEntries(found.map((one) => [one.key, one.value]));
}, {});

/** The tries of a shard before the present one. */
const earlier = (run, task) => once(`tries ${run.dag_run_id} ${task.map_index} ${task.try_number}`, async () => {
  const { task_instances: tries } = await api(`${runPath(run.dag_run_id)}/taskInstances/harmonize/${task.map_index}/tries`);
  return tries.filter((one) => one.try_number < task.try_number);
}, []);

/** Number of interruptions, and each try's time and capacity. Only a shard with several tries needs further requests. */
async function history(run, task, price) {
  const first = task.map_index >= (price?.on_demand_shards ?? 0);
  if (task.try_number < 2) return { interruptions: 0, tries: [{ ...task, spot: first }] };
  const [{ tally, spot }, before] = await Promise.all([kept(run, task), price ? earlier(run, task) : []]);
  const tries = [...before, task].map((one) => ({ ...one, spot: spot?.[one.try_number] ?? first }));
  return { interruptions: tally?.interruptions ?? 0, tries };
}

function taskAddress(task) {
  const mapped = task.map_index >= 0 ? `/mapped/${task.map_index}` : "";
  return new URL(`dags/${DAG}/runs/${part(task.dag_run_id)}/tasks/${task.task_id}${mapped}?try_number=${task.try_number}`, ROOT).href;
}

const runAddress = (run) => new URL(`dags/${DAG}/runs/${part(run.dag_run_id)}`, ROOT).href;

function showProblems(problems) {
  put(byId("problems"), problems, () => problems.map(([message, fix]) =>
    element("p", { className: "problem" }, message, ...(fix ? [element("br"), element("b", {}, "Fix: "), fix] : []))));
}

function showStages(tasks) {
  const all = STAGES.map((name) => [name, tasks.filter((task) => task.task_id === name)]).filter(([, found]) => found.length);
  const words = all.map(([name, found]) => {
    const worst = ["failed", "running", "deferred", "up_for_retry", "upstream_failed", "queued", "scheduled"].find((one) => found.some((task) => task.state === one));
    const [sign, word] = state(worst ?? found[0].state);
    const done = found.filter((task) => task.state === "success").length;
    return [sign, name, found.length > 1 ? `${done} of ${found.length} done` : word];
  });
  put(byId("stages"), words, () => words.map(([sign, name, word]) =>
    element("li", {}, element("span", { ariaHidden: "true" }, `${sign} `), `${name}: ${word}`)));
}

async function showRun(runs, answer) {
  const run = runs.find((one) => one.dag_run_id === chosen.get("run")) ?? runs[0];
  current = run ?? null;
  if (!run) {
    put(byId("run-line"), "none", () => ["No run yet. ", element("a", { href: new URL(`dags/${DAG}`, ROOT).href }, "Open the DAG"), " and press Trigger."]);
    return;
  }
  const { task_instances: tasks } = await api(`${runPath(run.dag_run_id)}/taskInstances?limit=1000`);
  const [sign, word, kind] = state(run.state);
  put(byId("run-line"), [run.dag_run_id, word], () => [
    element("a", { href: runAddress(run) }, run.dag_run_id), ": ", element("span", { className: `state ${kind}` }, `${sign} ${word}`)]);
  showStages(tasks);
  const planned = tasks.find((task) => task.task_id === "plan_shards" && task.state === "success");
  const plan = planned ? await result(run, planned) : null;
  const entry = plan && (await datasetOf(plan, answer.status));
  const mapped = tasks.filter((task) => task.task_id === "harmonize" && task.map_index >= 0);
  const reported = entry && entry.plan === plan.plan ? entry.shards : null;
  // A task has a name only once it runs; before that, its step is in the list that it is mapped over.
  const listed = tasks.find((task) => task.task_id === "unfinished_shards" && task.state === "success");
  const steps = (listed && (await result(run, listed))) || [];
  const shards = join(mapped.map((task) => ({ ...task, name: steps[task.map_index]?.step.name ?? "" })), reported);
  await Promise.all(shards.filter((shard) => shard.task).map(async (shard) => {
    const { interruptions, tries } = await history(run, shard.task, answer.price);
    shard.interruptions = interruptions;
    shard.dollars = dollars(tries, answer.price, answer.now);
  }));
  note(plan, entry, answer);
  showCost(shards, answer.price);
  show(byId("shards"), shards, { now: answer.now, mayClear: answer.may_clear, link: taskAddress, clear });
}

/** The run's data set in the status. The status omits the shards of a published one; they are fetched once. */
async function datasetOf(plan, status) {
  const entry = status?.datasets.find((one) => one.dataset_id === plan.dataset_id);
  if (!entry || entry.shards?.length) return entry;
  return once(`${entry.dataset_id} ${entry.state} ${entry.plan}`, async () =>
    (await asked(`status?dataset=${part(entry.dataset_id)}`)).status?.datasets[0] ?? entry, entry);
}

function note(plan, entry, answer) {
  const target = byId("run-note");
  const foreign = plan?.plan && answer.status && !entry;
  const other = entry && entry.plan !== plan.plan;
  target.hidden = !(foreign || other);
  if (foreign) say(target, `This run writes ${plan.dataset}, which is not in the output that this page shows. See the progress of its workers in their logs.`);
  if (other) say(target, "A later run has planned this data set again. See the progress of this run's workers in their logs.");
}

/** Cost of the shards so far: each try's time at the hourly price, including the wait for capacity. */
function showCost(shards, price) {
  byId("shards").classList.toggle("unpriced", !price || "problem" in price);
  const target = byId("run-cost");
  const asked = shards.filter((shard) => shard.task);
  target.hidden = !price || !asked.length;
  if (!price) return;
  say(target, price.problem ? `The cost of the shards is not known: ${price.problem}`
    : `The shards have cost about ${money(asked.reduce((sum, shard) => sum + shard.dollars, 0))} dollars so far: ${price.label}, `
      + `${money(price.spot)} an hour on spot, ${money(price.on_demand)} on demand, list prices of ${price.region}, ${price.priced}.`);
}

/** Splits in the usual order. */
const inOrder = (windows) => Object.fromEntries(["train", "validation", "test"].filter((one) => one in (windows ?? {})).map((one) => [one, windows[one]]));

function showDatasets(status) {
  const list = status?.datasets ?? [];
  const empty = byId("no-datasets");
  empty.hidden = list.length > 0 || !status;
  say(empty, "No data set yet: the first run writes one.");
  const reports = list.filter((one) => one.report).map((one) => one.dataset_id);
  const shown = chosen.get("dataset") ?? (reports.includes(status?.latest) ? status.latest : reports[0]);
  if (status) rows(byId("datasets"), list, (one) => one.dataset_id, (one) => [
    text(one.dataset_id, one.dataset_id === status.latest ? "latest" : "", one.problem ? `Cannot be read completely: ${one.problem}` : ""),
    stated(state(one.state)),
    text(time(one.planned), one.validated ? `validated ${time(one.validated)}` : ""),
    text(one.written === null || one.written === undefined ? "–" : `${number(one.written)} of ${number(one.requested)}`, Object.keys(one.excluded ?? {}).length ? `excluded: ${counts(one.excluded)}` : ""),
    text(counts(inOrder(one.windows)) || "–"),
    text(one.warnings ? `⚠ ${number(one.warnings)}` : number(one.warnings)),
    [[one.report, one.dataset_id === shown], () => (!one.report ? ["not yet"]
      : [element("a", { href: `?dataset=${part(one.dataset_id)}`, ariaLabel: `Report of ${one.dataset_id}` }, one.dataset_id === shown ? "shown below" : "Report")])],
  ]);
  if (status) showReport(shown);
}

function showReport(id) {
  byId("report-part").hidden = !id;
  if (!id || byId("report").dataset.of === id) return;
  byId("report").dataset.of = id;
  say(byId("report-id"), id);
  byId("report-alone").href = byId("report").src = `report?dataset=${part(id)}`;
}

function showRuns(runs, now) {
  rows(byId("runs"), runs, (run) => run.dag_run_id, (run) => [
    [[run.dag_run_id, run === current], () => [element("a", { href: `?run=${part(run.dag_run_id)}` }, run.dag_run_id)]],
    stated(state(run.state)),
    text(time(run.start_date)),
    text(run.start_date ? duration(secondsBetween(run.start_date, run.end_date ?? now)) : "–"),
  ]);
}

/** Ask for confirmation, then clear with Airflow's REST API, which checks the visitor's permission. */
async function clear(shard) {
  const dialog = byId("ask");
  const { dag_run_id: run, map_index: index } = shard.task;
  say(byId("ask-text"), `Shard ${shard.index}: ${shard.label}, of the run ${run}.`);
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  if (dialog.returnValue !== "yes") return;
  const body = { dag_run_id: run, task_ids: [["harmonize", index]], include_downstream: true, only_failed: false, dry_run: false };
  const done = byId("done");
  try {
    const cleared = await api("/clearTaskInstances", {
      method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body),
    });
    say(done, `Cleared ${number(cleared.total_entries)} tasks: shard ${shard.index} runs again, then the tasks after it.`);
  } catch (error) {
    say(done, `Airflow did not clear shard ${shard.index}: ${error.message}`);
  }
  done.hidden = false;
  byId("main").focus({ preventScroll: true });
  await refresh();
}

async function refresh() {
  const problems = [];
  const trouble = (what) => (error) => {
    problems.push([`${what}: ${error.message}`, error instanceof Refused ? "" : "Check that Airflow's API server runs. This page keeps asking."]);
    return null;
  };
  const [answer, runs] = await Promise.all([
    asked("status").catch(trouble("The state of the output cannot be shown")),
    api("/dagRuns?order_by=-run_after&limit=10").then((found) => found.dag_runs).catch(trouble("Airflow's runs cannot be shown")),
  ]);
  if (answer?.problem) problems.push([answer.problem.message, answer.problem.fix]);
  if (answer?.status?.problem) problems.push([answer.status.problem, ""]);
  if (answer?.status) say(byId("output"), answer.status.output);
  const seen = answer ?? { now: new Date().toISOString(), may_clear: false, status: null };
  if (runs) {
    await showRun(runs, seen).catch(trouble("The run cannot be shown"));
    showRuns(runs, seen.now);
  }
  showDatasets(answer?.status);
  showProblems(problems);
  say(byId("fresh"), problems.length ? "not up to date" : `as of ${new Date().toLocaleTimeString("sv")}`);
}

/** Follow the colour scheme that is chosen in Airflow, not the browser's. */
function wearColours() {
  const outside = parent.document.documentElement;
  const wear = () => {
    const dark = outside.classList.contains("dark");
    if (dark || outside.classList.contains("light")) document.documentElement.style.colorScheme = dark ? "dark" : "light";
  };
  new MutationObserver(wear).observe(outside, { attributeFilter: ["class"] });
  wear();
}

/** The frame in which Airflow shows this page may not navigate the window; a link of Airflow's own page may. */
function leaveFrame(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || link.href.startsWith(new URL(".", document.baseURI).href)) return;
  event.preventDefault();
  const outside = parent.document.createElement("a");
  outside.href = link.href;
  parent.document.body.append(outside);
  outside.click();
  outside.remove();
}

if (parent !== window) {
  wearColours();
  document.addEventListener("click", leaveFrame);
}

(async function keepOn() {
  if (!document.hidden) await refresh().catch((error) => showProblems([[`This page failed: ${error.message}`, "Reload it."]]));
  setTimeout(keepOn, EVERY_MS);
})();
document.addEventListener("visibilitychange", () => document.hidden || refresh());
