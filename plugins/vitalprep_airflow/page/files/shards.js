// The shards of a run: Airflow's state of each task, joined with its worker's last report.

import { duration, megabytes, money, number, secondsBetween, state } from "./words.js";
import { element, rows, stated, text } from "./tables.js";

const SILENT_SECONDS = 60; // a worker reports at least every 10 s
const NAME = /^shard (\d+): (.*)$/s;

/** The shards by number. A shard without a task was done before the run started. */
export function join(tasks, reported) {
  const found = new Map((reported ?? []).map((shard) => [shard.index, { ...shard, task: null }]));
  for (const task of tasks) {
    const [, index, label] = NAME.exec(task.name) ?? [null, `task ${task.map_index}`, ""];
    const key = /^\d+$/.test(index) ? Number(index) : index;
    found.set(key, { label, ...found.get(key), index: key, task });
  }
  return [...found.values()].sort((a, b) => String(a.index).localeCompare(String(b.index), "en", { numeric: true }));
}

/** Airflow's state of the task decides; the worker's report only has the progress. */
function stateOf(shard) {
  if (!shard.task) return shard.state === "done" ? "done" : shard.state;
  if (shard.task.state === "deferred") return "running"; // waits in the triggerer while its container runs
  return shard.task.state ?? "waiting";
}

function cases(shard, name) {
  const all = name === "success" || name === "done";
  const done = all && Number.isFinite(shard.cases) ? shard.cases : shard.done;
  if (!Number.isFinite(shard.cases) || !Number.isFinite(done)) return text(all ? "all" : "–");
  const excluded = shard.excluded ? `${number(shard.excluded)} excluded` : "";
  return [[done, shard.cases, excluded], () => [
    element("span", {},
      element("progress", { value: done, max: Math.max(1, shard.cases), ariaLabel: "Cases done" }),
      ` ${number(done)} of ${number(shard.cases)}`),
    ...(excluded ? [element("span", { className: "sub" }, excluded)] : []),
  ]];
}

function tries(shard) {
  if (!shard.task) return text("–", shard.state === "done" ? "done before this run" : "");
  const lost = shard.interruptions ? `${number(shard.interruptions)} interrupted` : "";
  return text(number(shard.task.try_number), lost);
}

/** Fill the table. `link(task)` returns the log's address; `clear(shard)` is called by the shard's button. */
export function show(table, shards, { now, mayClear, link, clear }) {
  rows(table, shards, (shard) => shard.index, (shard) => {
    const name = stateOf(shard);
    const live = name === "running" && shard.state === "running";
    const silent = live ? secondsBetween(shard.updated, now) : 0;
    const failed = name === "failed";
    const title = Number.isInteger(shard.index) ? `Shard ${shard.index}` : shard.index;
    return [
      text(title, shard.label),
      stated(state(name), silent > SILENT_SECONDS ? `silent for ${duration(silent)}` : ""),
      cases(shard, name),
      text(live ? megabytes(shard.bytes_per_second) : "–"),
      tries(shard),
      text(Number.isFinite(shard.dollars) ? money(shard.dollars) : "–"),
      text(live ? duration(shard.seconds_left ?? NaN) : "–"),
      [[shard.task && link(shard.task), failed && mayClear, shard.task?.dag_run_id], () => [
        ...(shard.task && shard.task.try_number > 0
          ? [element("a", { href: link(shard.task), ariaLabel: `Log of ${title}` }, "Log")] : []),
        ...(failed && mayClear
          ? [element("button", { type: "button", ariaLabel: `Run ${title} again`, onclick: () => clear(shard) }, "Run again")] : []),
      ]],
    ];
  });
}
