/**
 * fake: a world without files, terminal or network, and streams that keep what they were told.
 *
 * Used by the suites of test/shell/.
 */
import { posix } from "node:path";
import { parseArgs } from "node:util";
import { BUILTIN_GUEST_NAME, builtinGuest, Host, MemoryBackend, VmError } from "../../src/node.ts";
import { nodePlatform } from "../../src/platform/node/platform.ts";
import type { Caller } from "../../src/shell/call.ts";
import type { SessionStreams } from "../../src/shell/command.ts";
import { Fleet } from "../../src/shell/fleet.ts";
import { COMMANDS } from "../../src/shell/registry.ts";
import { Abort, Session } from "../../src/shell/session.ts";
import type { World } from "../../src/shell/world.ts";

/** What was said where. */
export interface Said {
  out: string;
  err: string;
}

/** A world of nothing but the built-in guest; `files` are its files, by absolute path. */
export function fakeWorld(
  files: Map<string, Uint8Array> = new Map(),
  said: Said = spoken(),
): World {
  const platform = nodePlatform();
  const unused = (what: string) => () => {
    throw new VmError("unsupported", `the fake world has no ${what}`);
  };
  return {
    version: "0.0.0",
    folder: "/here",
    columns: 80,
    isProgressLive: false,
    resolvePath: posix.resolve,
    split: (args, types) =>
      parseArgs({
        args: [...args],
        options: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }])),
        allowPositionals: true,
        strict: false,
        tokens: true,
      }).tokens,
    streams: { ...fakeStreams(said) },
    say: (text) => void (said.err += text),
    print: (text) => void (said.out += text),
    readFile: async (path) => {
      const bytes = files.get(path);
      if (bytes === undefined) throw new VmError("bad-file", `${path}: there is no such file`);
      return bytes;
    },
    writeFile: async (path, bytes) => void files.set(path, bytes),
    openWriter: async (path) => {
      files.set(path, new Uint8Array(0));
      return {
        write: (bytes) => {
          files.set(path, Buffer.concat([files.get(path) as Uint8Array, bytes]));
        },
        close: async () => {},
      };
    },
    listFolder: async (folder) => {
      const names = [...files.keys()].filter((path) => posix.dirname(path) === posix.join(folder));
      return names.map((path) => posix.basename(path));
    },
    listenControl: unused("control sockets"),
    connectControl: unused("control sockets"),
    openPrompt: unused("terminal"),
    loadHistory: () => [],
    saveHistory: () => {},
    openDisk: async (path) => {
      const bytes = files.get(path);
      if (bytes === undefined) throw new VmError("bad-file", `${path}: there is no such file`);
      return new MemoryBackend(bytes);
    },
    guests: {
      builtin: BUILTIN_GUEST_NAME,
      preparable: ["debian"],
      list: () => [],
      prepare: unused("network"),
      remove: (name) => {
        throw new VmError("not-found", `guest "${name}": there is none`);
      },
      files: async (name) => (name === BUILTIN_GUEST_NAME ? { kernel: builtinGuest() } : null),
    },
    createHost: (options) => Host.create({ arenaBytes: 256 << 20, ...options }),
    onSignal: () => () => {},
    monotonicMs: platform.monotonicMs,
    wallMs: platform.wallMs,
    after: platform.after,
  };
}

/** Nothing said yet. */
export function spoken(): Said {
  return { out: "", err: "" };
}

/** Streams that keep what they are told; nobody types. */
export function fakeStreams(said: Said): SessionStreams {
  return {
    isTerminal: false,
    columns: 80,
    print: (text) => void (said.out += text),
    say: (text) => void (said.err += text),
    write: (bytes) => {
      said.out += Buffer.from(bytes).toString("latin1");
      return true;
    },
    drained: async () => {},
    flush: async () => {},
    onBroken: () => {},
    holdInput: () => {},
    listen: () => () => {},
  };
}

/** Somebody who calls commands in a fake world. */
export function fakeCaller(world = fakeWorld(), said: Said = spoken()): Caller & { said: Said } {
  return {
    world,
    fleet: new Fleet(world),
    commands: COMMANDS,
    streams: fakeStreams(said),
    signal: new Abort(),
    session: new Session(world.folder),
    said,
  };
}
