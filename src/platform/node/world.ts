/**
 * world: Node's side of src/shell/world.ts: files, standard streams, raw mode, signals.
 *
 * Owns    the terminal's raw mode: it is undone however the process ends.
 * Used by src/cli.ts.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { BlockBackend } from "../../device/block/contract.ts";
import { VmError } from "../../errors.ts";
import { BUILTIN_GUEST_NAME, builtinGuest } from "../../guest/index.ts";
import { Host } from "../../node.ts";
import type { ConsoleStreams, DiskMode, GuestFiles, World } from "../../shell/world.ts";
import { findGuest, listGuests } from "./guest-store.ts";

/** Output that may wait in this process before the guest is paused. */
const PENDING_BYTES_MAX = 1 << 20;
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A prepared guest's files, or the built-in one. */
async function guestFiles(name: string): Promise<GuestFiles> {
  if (name === BUILTIN_GUEST_NAME) return { kernel: builtinGuest() };
  const guest = findGuest(name);
  if (guest === null) {
    const names = [...listGuests().map(({ manifest }) => manifest.name), BUILTIN_GUEST_NAME];
    const hint = name === "debian" ? "; run `rivulet guest prepare debian` first" : "";
    throw new VmError("not-found", `guest "${name}": accepted are ${names.join(", ")}${hint}`);
  }
  const { folder, manifest } = guest;
  return {
    kernel: await readWhole(join(folder, manifest.kernel)),
    initrd: await readWhole(join(folder, manifest.initrd)),
    append: manifest.append,
  };
}

function version(): string {
  const url = new URL("../../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}

async function openDisk(path: string, mode: DiskMode): Promise<BlockBackend> {
  throw new VmError("unsupported", `--disk ${path} (${mode}): disks come with virtio-blk`);
}

function listen(onInput: (bytes: Uint8Array | null) => void): () => void {
  const { stdin } = process;
  const isTerminal = stdin.isTTY === true;
  const restore = () => {
    if (isTerminal) stdin.setRawMode(false);
  };
  const onData = (bytes: Buffer) => onInput(new Uint8Array(bytes));
  const onEnd = () => onInput(null);
  if (isTerminal) {
    stdin.setRawMode(true);
    process.once("exit", restore);
  }
  stdin.on("data", onData);
  stdin.once("end", onEnd);
  stdin.once("error", onEnd);
  stdin.resume();
  return () => {
    stdin.off("data", onData);
    stdin.off("end", onEnd);
    stdin.pause();
    stdin.unref?.();
    restore();
    process.off("exit", restore);
  };
}

function nodeStreams(): ConsoleStreams {
  const { stdout } = process;
  let isBroken = false;
  const listeners: (() => void)[] = [];
  stdout.on("error", () => {
    isBroken = true;
    for (const listener of listeners.splice(0)) listener();
  });
  return {
    isTerminal: process.stdin.isTTY === true,
    listen,
    write: (bytes) => isBroken || stdout.write(bytes) || stdout.writableLength < PENDING_BYTES_MAX,
    drained: () =>
      new Promise((resolve) => {
        stdout.once("drain", resolve);
        listeners.push(resolve);
      }),
    onBroken: (listener) => {
      if (isBroken) listener();
      else listeners.push(listener);
    },
    flush: () =>
      new Promise((resolve) => {
        if (isBroken || stdout.writableLength === 0) resolve();
        else stdout.write("", () => resolve());
      }),
  };
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : message;
    throw new VmError("bad-file", `${path}: ${why}; a readable file is accepted`, { cause });
  }
}

/** The world of this process. */
export function nodeWorld(): World {
  return {
    version: version(),
    guest: guestFiles,
    openDisk,
    split: (args, types) =>
      parseArgs({
        args: [...args],
        options: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }])),
        allowPositionals: true,
        strict: false,
        tokens: true,
      }).tokens,
    streams: nodeStreams(),
    say: (text) => process.stderr.write(text),
    print: (text) => process.stdout.write(text),
    readFile: readWhole,
    createHost: (options) => Host.create(options),
    onSignal: (listener) => {
      const handlers = Object.entries(SIGNALS).map(([name, status]) => {
        const handler = () => listener(status);
        process.on(name as NodeJS.Signals, handler);
        return () => process.off(name as NodeJS.Signals, handler);
      });
      return () => {
        for (const end of handlers) end();
      };
    },
    monotonicMs: () => performance.now(),
    after: (ms, wake) => {
      const timer = setTimeout(wake, ms);
      return () => clearTimeout(timer);
    },
  };
}
