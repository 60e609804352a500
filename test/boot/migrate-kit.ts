/**
 * migrate-kit: a Debian that logs numbers to its console and its disk moves to and fro between two
 * processes, which are killed, and whose link is cut, at random moments.
 *
 * Used by migrate.test.ts, migrate-kill.deep.ts.
 * Holds   after every move at most one machine runs; none, only when the process was killed that
 *         alone held it. The console's numbers go on by one wherever the guest runs, and each that
 *         was said is on the disk.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { nodePlatform } from "../../src/node.ts";
import type { Random } from "../helpers/random.ts";
import type { Order, Stand } from "./migrate-worker.ts";

const WORKER = fileURLToPath(new URL("migrate-worker.js", import.meta.url));
const POLL_MS = 25;
/** Everything is settled by then. */
const PATIENCE_MS = 60_000;
/** Numbers that the guest says between two moves. */
const NUMBERS = 3;

/** What came of a move. */
export type MoveOutcome =
  | "moved"
  | "stayed"
  | "taken-back"
  | "zero: source was killed"
  | "zero: target was killed";

/** How often each outcome came. */
export type MoveTally = Partial<Record<MoveOutcome, number>>;

type Name = "a" | "b";

const { after, monotonicMs } = nodePlatform();
const later = (ms: number) => new Promise<void>((resolve) => after(ms, resolve));

/** A worker process, and the ones that come after it. */
class Place {
  readonly #folder: string;
  /** What its guest has said since it was last taken. */
  #text = "";
  #child: ChildProcess | null = null;
  #answers = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  #orders = 0;
  #port = 0;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    const child = fork(WORKER, [this.#folder, String(this.#port)], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    this.#child = child;
    child.stdout?.on("data", (bytes: Buffer) => {
      this.#text += bytes.toString("latin1");
    });
    const answers = new Map<
      number,
      { resolve(answer: unknown): void; reject(error: Error): void }
    >();
    this.#answers = answers;
    const address = new Promise<unknown>((resolve, reject) => answers.set(0, { resolve, reject }));
    type Said = { readonly id: number; readonly answer?: unknown; readonly error?: string };
    child.on("message", ({ id, answer, error }: Said) => {
      const waiting = answers.get(id);
      answers.delete(id);
      if (error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(error));
    });
    child.on("exit", () => {
      for (const { reject } of answers.values()) reject(new Error("the process has ended"));
      answers.clear();
    });
    this.#port = Number(/:(\d+)$/.exec(String(await address))?.[1]);
  }

  ask<T>(order: Order): Promise<T> {
    const id = ++this.#orders;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve: resolve as (answer: unknown) => void, reject });
      this.#child?.send({ id, order }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  /** It is dead when it resolves, and all that it said has come. */
  async kill(): Promise<void> {
    const child = this.#child as ChildProcess;
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    child.kill("SIGKILL");
    await closed;
  }

  get text(): string {
    return this.#text;
  }

  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  end(): void {
    this.#child?.kill("SIGKILL");
  }
}

/** A way from one process to another that can be cut. */
class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isDown = false;

  constructor(to: () => number) {
    this.#server = createServer((socket) => {
      if (this.#isDown) return void socket.destroy();
      const on = connect(to(), "127.0.0.1");
      for (const [one, other] of [
        [socket, on],
        [on, socket],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => {});
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    return `tcp://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  async cut(ms: number): Promise<void> {
    this.#isDown = true;
    for (const socket of this.#sockets) socket.destroy();
    await later(ms);
    this.#isDown = false;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Two processes, and the machine in one of them. */
export class Shuttle {
  readonly #random: Random;
  readonly #places: Record<Name, Place>;
  readonly #relays: Record<Name, Relay>;
  #addresses: Record<Name, string> = { a: "", b: "" };
  #at: Name = "a";
  /** All that the guest has said since it was booted. */
  #said = "";
  #totalMs = 400;

  constructor(folder: string, random: Random) {
    this.#random = random;
    this.#places = { a: new Place(join(folder, "a")), b: new Place(join(folder, "b")) };
    this.#relays = {
      a: new Relay(() => this.#places.a.port),
      b: new Relay(() => this.#places.b.port),
    };
  }

  async begin(): Promise<void> {
    for (const name of ["a", "b"] as const) {
      await this.#places[name].start();
      this.#addresses[name] = await this.#relays[name].listen();
    }
    await this.#boot();
  }

  async #boot(): Promise<void> {
    this.#at = "a";
    this.#said = "";
    for (const place of Object.values(this.#places)) place.take();
    await this.#places.a.ask({ do: "boot" });
    await this.#saysMore(this.#places.a);
  }

  /** The guest goes on: it says some more numbers. */
  async #saysMore(place: Place): Promise<void> {
    const count = () => numbersOf(this.#said + place.text).length;
    const goal = count() + NUMBERS;
    const until = monotonicMs() + PATIENCE_MS;
    while (count() < goal) {
      assert.ok(monotonicMs() < until, `the guest says nothing more: ${place.text.slice(-200)}`);
      await later(POLL_MS);
    }
  }

  /** Moves the machine while something happens. Throws when law 3 or a log is broken. */
  async move(): Promise<MoveOutcome> {
    const random = this.#random;
    const from = this.#at;
    const to = from === "a" ? "b" : "a";
    const fault = random.pick(["none", "cut", "cut", "kill from", "kill to"] as const);
    const isPostcopy = random.chance(40);
    const afterMs = random.between(0, Math.ceil(this.#totalMs * 1.2));
    const order = {
      do: "send",
      address: this.#addresses[to],
      isPostcopy,
      bandwidth: random.pick([null, null, 150e6]),
    } as const;
    const beganMs = monotonicMs();
    await this.#places[from].ask(order);
    let killed: Name | null = null;
    if (fault !== "none") await later(afterMs);
    if (fault === "cut") await this.#relays[to].cut(random.between(0, 300));
    if (fault === "kill from" || fault === "kill to") {
      killed = fault === "kill from" ? from : to;
      await this.#places[killed].kill();
      await later(random.between(0, 300));
      await this.#places[killed].start();
    }
    const stands = await this.#settle(from, killed === to);
    if (fault === "none")
      this.#totalMs = Math.min(2000, (this.#totalMs + monotonicMs() - beganMs) / 2);
    const how = JSON.stringify({ from, fault, isPostcopy, afterMs, stands });
    return this.#judge(from, to, killed, stands, how);
  }

  async #settle(from: Name, isTargetDead: boolean): Promise<Record<Name, Stand>> {
    const { a, b } = this.#places;
    const until = monotonicMs() + PATIENCE_MS;
    for (;;) {
      if (isTargetDead) await this.#places[from].ask({ do: "abandon" });
      const stands = {
        a: await a.ask<Stand>({ do: "stand" }),
        b: await b.ask<Stand>({ do: "stand" }),
      };
      if (stands.a.open.length + stands.b.open.length === 0) return stands;
      assert.ok(monotonicMs() < until, `not settled: ${JSON.stringify(stands)}`);
      await later(POLL_MS);
    }
  }

  async #judge(
    from: Name,
    to: Name,
    killed: Name | null,
    stands: Record<Name, Stand>,
    how: string,
  ): Promise<MoveOutcome> {
    const [here, there] = [stands[from].machines.length, stands[to].machines.length];
    assert.ok(here + there <= 1, `two machines: ${how}`);
    const [source, target] = [this.#places[from], this.#places[to]];
    if (here + there === 0) {
      assert.ok(killed !== null, `no machine, and nobody was killed: ${how}`);
      checkNumbers(this.#said + source.take() + target.take(), how);
      await this.#boot();
      return killed === from ? "zero: source was killed" : "zero: target was killed";
    }
    this.#at = here === 1 ? from : to;
    const place = here === 1 ? source : target;
    await this.#saysMore(place);
    // what it said there is void when it was taken back from there
    const isTakenBack = here === 1 && numbersOf(target.text).length > 0;
    assert.ok(!isTakenBack || killed === to, `it ran there, and nobody was killed: ${how}`);
    const saidThere = target.take();
    this.#said += source.take() + (here === 1 ? "" : saidThere);
    checkNumbers(this.#said, how);
    const last = numbersOf(this.#said).at(-1) as number;
    const missing = await place.ask<number[]>({ do: "check", last });
    assert.equal(missing, [], `numbers that are not on the disk: ${how}`);
    if (here === 0) return "moved";
    return isTakenBack ? "taken-back" : "stayed";
  }

  end(): void {
    for (const place of Object.values(this.#places)) place.end();
    for (const relay of Object.values(this.#relays)) relay.close();
  }
}

/** Whole lines of the log. */
function numbersOf(text: string): number[] {
  return [...text.matchAll(/^n(\d+)\r?\n/gm)].map(([, number]) => Number(number));
}

function checkNumbers(text: string, how: string): void {
  for (const [index, number] of numbersOf(text).entries()) {
    assert.is(number, index + 1, `a number is lost or said twice: ${how}\n${text.slice(-300)}`);
  }
}

/** Moves it `count` times, from the seed of `random` on. */
export async function moveCampaign(
  folder: string,
  count: number,
  random: Random,
): Promise<MoveTally> {
  const shuttle = new Shuttle(folder, random);
  const tally: MoveTally = {};
  try {
    await shuttle.begin();
    for (let move = 0; move < count; move++) {
      const outcome = await shuttle.move();
      tally[outcome] = (tally[outcome] ?? 0) + 1;
    }
  } finally {
    shuttle.end();
  }
  return tally;
}
