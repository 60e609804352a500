/**
 * move: the page of a machine that moves: what it says in Node, what it says in this tab, and the
 * buttons that bring it here and send it back.
 *
 * Holds   the machine runs in a worker, so that it goes on in a tab that nobody looks at.
 */
import { openConsole } from "./console.ts";
import { element } from "./element.ts";
import type { FromWorker, Move, ToWorker } from "./move-worker.ts";
import { showState } from "./status.ts";

/** What move.mjs sends of the guest's output. */
interface Said {
  /** Even: how often it has moved when it said that. */
  readonly turn: number;
  readonly text: string;
}

const bring = element<HTMLButtonElement>("bring");
const send = element<HTMLButtonElement>("send");
const message = element("message");
const there = openConsole(element("there"), () => bring.focus());
const here = openConsole(element("here"), () => send.focus());
there.options.disableStdin = true;
/** Where Node finds this tab; nobody else knows it. */
const name = crypto.randomUUID();
const worker = new Worker(new URL("./move-worker.ts", import.meta.url), { type: "module" });
const tell = (what: ToWorker) => worker.postMessage(what);
/** All that the guest has said, by turn: for the curious, and for tests. */
const said: string[] = [];
const decoder = new TextDecoder();
let moves = 0;

function hear(turn: number, text: string): void {
  said[turn] = (said[turn] ?? "") + text;
}

function complain(reason: string): void {
  message.textContent = reason;
  message.hidden = false;
}

/** Says where the machine is, and lets it be moved from there; null: it is on its way. */
function place(where: "node" | "tab" | null): void {
  bring.disabled = where !== "node";
  send.disabled = where !== "tab";
  element("there-title").classList.toggle("is-here", where === "node");
  element("here-title").classList.toggle("is-here", where === "tab");
  if (where === null) showState("paused", "moving");
  else showState("running", where === "node" ? "running in Node" : "running in this tab");
}

/** Shows how a move went. */
function show({ result, progress }: Move): void {
  if (result.kind !== "completed") {
    complain(`${result.kind}: ${result.reason}`);
    return;
  }
  const { totalMs, downtimeMs, ram, disk } = progress;
  element("moves").textContent = String(moves);
  element("total").textContent = `${totalMs.toFixed(0)} ms`;
  element("downtime").textContent = `${(downtimeMs ?? 0).toFixed(1)} ms`;
  const sent = (ram.transferred + disk.transferred) / 2 ** 20;
  element("sent").textContent = `${sent.toFixed(1)} MB`;
}

function note(terminal: typeof here, text: string): void {
  terminal.write(`\r\n\x1b[2m[${text}]\x1b[0m\r\n`);
}

worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
  if (data.kind === "ready") place("node");
  else if (data.kind === "arrived") {
    moves++;
    note(here, "it has come from Node");
    place("tab");
  } else if (data.kind === "output") {
    here.write(data.bytes);
    hear(2 * Math.ceil(moves / 2) - 1, decoder.decode(data.bytes, { stream: true }));
  } else if (data.kind === "sent") {
    const isGone = data.move.result.kind === "completed";
    if (isGone) {
      moves++;
      note(here, "it has gone to Node");
    }
    show(data.move);
    place(isGone ? "node" : "tab");
  } else {
    complain(data.reason);
    showState("failed");
  }
});

bring.addEventListener("click", async () => {
  message.hidden = true;
  place(null);
  const response = await fetch(`machine/bring?to=${name}`, { method: "POST" });
  const done = await response.json();
  if (response.ok) show(done);
  else complain(done.reason);
  if (done.result?.kind !== "completed") place("node");
});
send.addEventListener("click", () => {
  message.hidden = true;
  place(null);
  tell({ kind: "send" });
});
here.onData((text) => tell({ kind: "input", text }));

const output = new EventSource("machine/output");
output.addEventListener("open", () => {
  // it says everything again
  there.reset();
  for (let turn = 0; turn < said.length; turn += 2) delete said[turn];
});
let lastTurn = 0;
output.addEventListener("message", ({ data }) => {
  const { turn, text } = JSON.parse(data) as Said;
  if (turn > lastTurn) note(there, "it has come back");
  lastTurn = turn;
  there.write(text);
  hear(turn, text);
});
Object.assign(globalThis, { rivulet: { said } });
const { address } = await (await fetch("machine/address")).json();
tell({ kind: "begin", address, name });
