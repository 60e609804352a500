/**
 * fake: a world without terminal and network, its files in memory, and streams that keep what they
 * were told.
 *
 * Used by the suites of test/shell/.
 */
import { posix } from "node:path";
import { parseArgs } from "node:util";
import {
  BUILTIN_GUEST_NAME,
  builtinGuest,
  Host,
  MemoryBackend,
  MemoryDirectory,
  nodeLinks,
  SnapshotStore,
  VmError,
} from "../../src/node.ts";
import { nodePlatform } from "../../src/platform/node/platform.ts";
import type { Caller } from "../../src/shell/call.ts";
import type { SessionStreams } from "../../src/shell/command.ts";
import { Fleet } from "../../src/shell/fleet.ts";
import { COMMANDS } from "../../src/shell/registry.ts";
import { Abort, Session } from "../../src/shell/session.ts";
import type { World } from "../../src/shell/world.ts";
import { elfProgram, emitHang, FINISHER } from "../helpers/guest-program.ts";

/** What was said where. */
export interface Said {
  out: string;
  err: string;
}

/** A guest that powers off at once. */
function endingGuest(): Uint8Array {
  return elfProgram((a) => {
    a.li("t0", FINISHER);
    a.li("t1", 0x5555);
    a.sw("t1", "t0", 0);
    emitHang(a);
  });
}

type Files = Map<string, Uint8Array>;

function fakeFiles(files: Files): Partial<World> {
  const read = (path: string) => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new VmError("bad-file", `${path}: there is no such file`);
    return bytes;
  };
  return {
    readFile: async (path) => read(path),
    openSource: async (path) => {
      const bytes = read(path);
      return {
        bytes: bytes.length,
        read: (offset, target) => void target.set(bytes.subarray(offset, offset + target.length)),
        close: async () => {},
      };
    },
    openSink: async (path) => {
      const pieces: Uint8Array[] = [];
      return {
        write: (bytes) => void pieces.push(bytes.slice()),
        close: async (isWhole) => {
          if (isWhole) files.set(path, Buffer.concat(pieces));
        },
      };
    },
    openDisk: async (path) => new MemoryBackend(read(path)),
    disks: {
      facts: async (path) => {
        const { length } = read(path);
        return { id: path, bytes: length, allocatedBytes: length };
      },
      create: async (path, bytes, { isReplacing, onPercent }) => {
        if (files.has(path) && !isReplacing) throw new VmError("bad-file", `${path} is there`);
        onPercent(100);
        files.set(path, new Uint8Array(bytes));
      },
      resize: async (path, bytes) => {
        const resized = new Uint8Array(bytes);
        resized.set(read(path).subarray(0, bytes));
        files.set(path, resized);
      },
      remove: async (path) => void files.delete(path),
    },
    writeFile: async (path, bytes) => void files.set(path, bytes),
    openWriter: async (path) => {
      files.set(path, new Uint8Array(0));
      return {
        write: (bytes) => void files.set(path, Buffer.concat([read(path), bytes])),
        close: async () => {},
      };
    },
    listFolder: async (folder) => {
      const names = [...files.keys()].filter((path) => posix.dirname(path) === posix.join(folder));
      return names.map((path) => posix.basename(path));
    },
  };
}

/** The built-in guest, and one named "debian" that powers off at once. */
const fakeGuests: World["guests"] = {
  builtin: BUILTIN_GUEST_NAME,
  preparable: ["debian"],
  list: () => [],
  prepare: async (name, { onProgress }) => {
    onProgress({ step: "fetching", percent: 50 });
    return { name, release: "trixie", packages: [], folder: `/cache/${name}`, bytes: 1 };
  },
  remove: () => {},
  details: () => null,
  import: async (name, { kernel }) => {
    const bytes = kernel.length;
    return { name, release: "imported", packages: [], folder: `/cache/${name}`, bytes };
  },
  files: async (name) => {
    if (name === BUILTIN_GUEST_NAME) return { kernel: builtinGuest() };
    return name === "debian" ? { kernel: endingGuest() } : null;
  },
};

/** Splits as the binary does. */
export const split: World["split"] = (args, types) =>
  parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }])),
    allowPositionals: true,
    strict: false,
    tokens: true,
  }).tokens;

/** Stores by path; what is in one stays there when it is closed. */
function fakeStores(): World["openStore"] {
  const folders = new Map<string, MemoryDirectory>();
  return async (path) => {
    const folder = folders.get(path) ?? new MemoryDirectory(path);
    folders.set(path, folder);
    return SnapshotStore.open(folder, { platform: nodePlatform() });
  };
}

/** Links of this host; `names` are addresses that stand for others. */
function fakeLinks(names: ReadonlyMap<string, string>): World["openLinks"] {
  return (choices) => {
    const door = nodeLinks(choices);
    return { ...door, dial: (address) => door.dial(names.get(address) ?? address) };
  };
}

/** A world of guests and `files`, by absolute path; nobody types. */
export function fakeWorld(
  files: Files = new Map(),
  said: Said = spoken(),
  names: ReadonlyMap<string, string> = new Map(),
): World {
  const platform = nodePlatform();
  const world: Partial<World> = {
    ...fakeFiles(files),
    version: "0.0.0",
    folder: "/here",
    isProgressLive: false,
    resolvePath: posix.resolve,
    split,
    streams: fakeStreams(said),
    say: (text) => void (said.err += text),
    print: (text) => void (said.out += text),
    guests: fakeGuests,
    openStore: fakeStores(),
    openLinks: fakeLinks(names),
    openState: async (path) => new MemoryDirectory(path),
    environment: { engine: "fake 1", platform: "none", cores: 2, memoryBytes: 1 << 30 },
    createHost: (options) => Host.create({ arenaBytes: 1 << 30, ...options }),
    listenTcp: async ({ port }) => ({ port: port === 0 ? 1025 : port, close: async () => {} }),
    onSignal: () => () => {},
    monotonicMs: platform.monotonicMs,
    breathe: platform.yieldToEventLoop,
    wallMs: platform.wallMs,
    after: platform.after,
  };
  // what is missing here, a command that is not told so must not touch
  return world as World;
}

/** Nothing said yet. */
export function spoken(): Said {
  return { out: "", err: "" };
}

/** Streams that keep what they are told; nobody types. */
export function fakeStreams(said: Said): SessionStreams {
  return {
    isTerminal: false,
    isProgressLive: false,
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

/** Somebody who calls commands. */
export interface FakeCaller extends Caller {
  readonly session: Session;
  readonly signal: Abort;
  readonly said: Said;
}

/** A caller in a fake world. */
export function fakeCaller(world = fakeWorld(), said: Said = spoken()): FakeCaller {
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
