// Boots Debian in this process, lets it count on its console, and serves a page that it moves to while it counts, and
// from where it comes back.
//
//   node examples/browser/move.mjs --help
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findGuest, Host, MigrationManager, nodeLinks } from "rivulet";
import { listen, runProgram, serve } from "./serve.mjs";

const COUNT = 'i=0; while :; do i=$((i+1)); echo "count $i"; sleep 0.1; done\n';
const HELP = `Usage: node examples/browser/move.mjs [options]

Boots Debian here, lets it count on its console, and serves a page on 127.0.0.1 that it moves to while it counts, and
from where it comes back; the first line on stdout is the address to open. It needs the guest debian
(\`rivulet guest prepare debian\`).

  --port N  port to listen on; 0 takes any that is free; default 8080
  --help    this text

Example:
  node examples/browser/move.mjs --port 0
`;
/** Pieces of output that a page is shown which comes later. */
const SAID_MAX = 2000;

/** What the guest says here, for everybody who listens. */
class Output {
  /** {turn, text}: the guest is here for the first time in turn 0, after a tab in turn 2, and so on. */
  #said = [];
  #responses = new Set();

  say(turn, text) {
    const event = `data: ${JSON.stringify({ turn, text })}\n\n`;
    this.#said.push(event);
    if (this.#said.length > SAID_MAX) this.#said.shift();
    for (const response of this.#responses) response.write(event);
  }

  /** Server-sent events: what was said, and what will be. */
  follow(response) {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
    response.write(this.#said.join("") || ":\n\n");
    this.#responses.add(response);
    response.once("close", () => this.#responses.delete(response));
  }
}

/** Debian, not booted yet. Throws when it is not prepared. */
function makeDebian(host) {
  const guest = findGuest("debian");
  if (guest === null) {
    throw new Error("no Debian guest here: `npx rivulet guest prepare debian` fetches it");
  }
  const { kernel, initrd, append } = guest.manifest;
  const read = (name) => readFileSync(join(guest.folder, name));
  return host.createMachine({
    kernel: read(kernel),
    initrd: read(initrd),
    append,
    memoryBytes: "128M",
    clock: "host",
    consoleInput: "open",
    name: "debian",
  });
}

async function main(port) {
  const host = await Host.create();
  const output = new Output();
  let turn = 0;
  let machine = null;
  /** Shows what a machine says here, and runs it. */
  const adopt = (one, hear = () => {}) => {
    machine?.dispose(); // it went away
    machine = one;
    const decoder = new TextDecoder();
    const mine = turn;
    one.console.onOutput((bytes) => {
      const text = decoder.decode(bytes, { stream: true });
      output.say(mine, text);
      hear(text);
    });
  };
  const manager = await MigrationManager.create({
    host,
    door: nodeLinks(),
    arrive: () => ({ consoleInput: "open" }),
    arrived: (one) => {
      turn += 2;
      adopt(one);
      one.run().catch((error) => console.error(error.message));
    },
  });
  const { address } = await manager.listen("ws://127.0.0.1:0/");

  const debian = makeDebian(host);
  let boot = "";
  adopt(debian, (text) => {
    if (boot === null) return;
    boot += text;
    if (!boot.includes("~ # ")) return;
    boot = null;
    debian.console.write(COUNT);
  });
  await debian.boot();
  debian.run().catch((error) => console.error(error.message));

  /** Moves the machine to a tab that waits by `name`; how that went. */
  const bring = async (name) => {
    const session = await manager.start(machine, `await://${name}`);
    const result = await session.ended;
    return { result, progress: session.progress };
  };
  const answer = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
    const json = (status, value) =>
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    if (pathname === "/machine/output") output.follow(response);
    else if (pathname === "/machine/address") json(200, { address });
    else if (pathname === "/machine/bring" && request.method === "POST") {
      bring(searchParams.get("to")).then(
        (done) => json(200, done),
        (error) => json(409, { reason: error.message }),
      );
    } else serve(request, response);
  };
  await listen(port, answer, "move.html");
}

await runProgram("move", HELP, main);
