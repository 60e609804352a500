/**
 * store-lock: one process at a time has a folder, and nothing is left behind by one that was
 * killed.
 *
 * Owns    a socket in the folder, until it is released or the process is gone.
 * Used by store-directory.ts.
 * Holds   who asks listens on a name of its own first, then connects to every other: of two who ask
 *         at once at least one sees the other, so never both go on. A process that stands still
 *         still takes connections; one that is gone refuses them. Only who has the lock removes
 *         names that refuse, and who gets it looks whether its own is still there.
 */
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { VmError } from "../../errors.ts";
import type { StoreLock } from "../contract.ts";
import { shortFolder } from "./unix-socket.ts";

/** Room for a claim's name. */
const NAME_BYTES_MAX = 40;
const ENDING = ".sock";
const ATTEMPTS = 12;
const DELAY_MS_MAX = 60;
/** How long an answer is waited for from one that takes the connection: it is alive anyway. */
const ANSWER_MS = 500;
const OWNS = "owns ";
const REASONS: Record<string, string> = {
  EACCES: "permission denied",
  ENOSPC: "no space is left",
  EROFS: "the file system is read-only",
};

/** What somebody else in the folder is. */
type Other = "gone" | "asking" | { readonly owner: string };

/** One who asks for the lock, or has it. */
class Claim {
  readonly name: string;
  readonly #folder: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOwner = false;
  #inode = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.name = `${process.pid}-${randomBytes(4).toString("hex")}${ENDING}`;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => this.#sockets.delete(socket));
      socket.end(this.#isOwner ? `${OWNS}${process.pid}` : "asks");
    });
    this.#server.unref();
  }

  get #path(): string {
    return join(this.#folder, this.name);
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (cause: NodeJS.ErrnoException) => {
        const why = REASONS[cause.code ?? ""] ?? cause.code ?? cause.message;
        const needs = "a store is locked, and so written to, even to be read";
        const text = `no socket can be made in ${this.#folder}: ${why}; ${needs}`;
        reject(new VmError("io", text, { cause }));
      });
      this.#server.listen(this.#path, () => {
        this.#inode = lstatSync(this.#path, { throwIfNoEntry: false })?.ino ?? 0;
        resolve();
      });
    });
  }

  /** False when somebody took the name for that of one who is gone. */
  get isThere(): boolean {
    const found = lstatSync(this.#path, { throwIfNoEntry: false });
    return found !== undefined && found.ino === this.#inode;
  }

  own(): void {
    this.#isOwner = true;
  }

  async end(): Promise<void> {
    if (this.isThere) rmSync(this.#path, { force: true });
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await isClosed;
  }
}

function ask(path: string): Promise<Other> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let text = "";
    const pid = /(\d+)-/.exec(path.slice(path.lastIndexOf("/")))?.[1] ?? "unknown";
    const settle = (other: Other) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(other);
    };
    // it takes connections and says nothing: a process that stands still
    const timer = setTimeout(() => settle({ owner: pid }), ANSWER_MS);
    socket.on("data", (bytes) => {
      text += bytes.toString("utf8");
    });
    socket.once("end", () => settle(text.startsWith(OWNS) ? { owner: pid } : "asking"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      const isGone = code === "ECONNREFUSED" || code === "ENOENT";
      settle(isGone ? "gone" : { owner: pid }); // in doubt it is somebody's
    });
  });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** One attempt: true when the claim has the lock; the pid of who has it; or false to try again. */
async function attempt(claim: Claim, folder: string): Promise<boolean | string> {
  await claim.listen();
  const names = readdirSync(folder).filter((one) => one.endsWith(ENDING) && one !== claim.name);
  const others = await Promise.all(names.map((name) => ask(join(folder, name))));
  for (const other of others) if (typeof other === "object") return other.owner;
  if (others.includes("asking") || !claim.isThere) return false;
  claim.own();
  for (const name of names) rmSync(join(folder, name), { force: true });
  return true;
}

/** Takes the lock of a folder. Throws "busy" when a process has it, with its number; "io". */
export async function lockFolder(folder: string, what: string): Promise<StoreLock> {
  if (!existsSync(folder)) throw new VmError("io", `${folder} is not there`);
  const { at, close } = shortFolder(folder, NAME_BYTES_MAX);
  let last = "another process asks for it, too";
  try {
    for (let tries = 0; tries < ATTEMPTS; tries++) {
      if (tries > 0) await pause(randomInt(1, DELAY_MS_MAX * Math.min(tries, 5)));
      const claim = new Claim(at);
      let got: boolean | string = false;
      try {
        got = await attempt(claim, at);
      } finally {
        if (got !== true) await claim.end();
      }
      if (got === true) {
        let isReleased = false;
        return {
          release: async () => {
            if (isReleased) return;
            isReleased = true;
            await claim.end();
            close();
          },
        };
      }
      if (typeof got === "string") {
        last = Number(got) === process.pid ? "this process has it open" : `process ${got} has it`;
        break;
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  close();
  throw new VmError("busy", `${what}: ${last}; a store is open in one process at a time`);
}
