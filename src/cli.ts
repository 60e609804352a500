#!/usr/bin/env node
/**
 * cli: the binary `rivulet`: hands this process to the shell's commands, turns errors into one line
 * and a status.
 *
 * Holds   0 is success, 1 a failure, 2 a wrong command line; `run` exits as the guest asked.
 */
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  type BlockBackend,
  BUILTIN_GUEST_NAME,
  builtinGuest,
  DEBIAN_GUEST_NAME,
  findGuest,
  Host,
  importGuest,
  listGuests,
  nodeLinks,
  nodePlatform,
  OverlayBackend,
  openBlockFile,
  openStoreDirectory,
  type PreparedGuest,
  prepareDebian,
  removeGuest,
  SnapshotStore,
  VmError,
} from "./node.ts";
import { connectControl, listenControl } from "./platform/node/control-socket.ts";
import { createDiskFile, diskFileFacts, resizeDiskFile } from "./platform/node/disk-files.ts";
import {
  listFolder,
  openFileSink,
  openFileSource,
  openFileWriter,
  readWholeFile,
  writeWholeFile,
} from "./platform/node/files.ts";
import { loadHistory, openPrompt, saveHistory } from "./platform/node/line-editor.ts";
import { hangUp, onSignal, standardStreams } from "./platform/node/standard-streams.ts";
import { listenTcp } from "./platform/node/tcp-server.ts";
import { type AbortSignalLike, UsageError } from "./shell/command.ts";
import { main } from "./shell/main.ts";
import type {
  DiskMode,
  DiskShelf,
  Environment,
  GuestDetails,
  GuestFiles,
  GuestInfo,
  GuestShelf,
  World,
} from "./shell/world.ts";

function version(): string {
  const url = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}

function guestInfo({ folder, manifest }: PreparedGuest): GuestInfo {
  const { name, release, packages, files } = manifest;
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  return { name, release, packages, folder, bytes };
}

function guestDetails(guest: PreparedGuest): GuestDetails {
  const { kernel, initrd, disk, append, files } = guest.manifest;
  const roleOf = (name: string) => {
    if (name === kernel) return "kernel";
    if (name === initrd) return "initrd";
    return name === disk ? "disk" : "other";
  };
  return {
    ...guestInfo(guest),
    append,
    files: Object.entries(files).map(([name, file]) => ({ role: roleOf(name), name, ...file })),
  };
}

/** Node's own kind of signal, for the work of `run`. */
async function abortable<T>(
  signal: AbortSignalLike,
  run: (own: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    return await run(controller.signal);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

const guests: GuestShelf = {
  builtin: BUILTIN_GUEST_NAME,
  preparable: [DEBIAN_GUEST_NAME],
  list: () => listGuests().map(guestInfo),
  remove: removeGuest,
  details(name) {
    const guest = findGuest(name);
    return guest === null ? null : guestDetails(guest);
  },
  prepare: (_name, options) =>
    abortable(options.signal, async (signal) => {
      return guestInfo(await prepareDebian({ ...options, signal }));
    }),
  import: (name, parts) =>
    abortable(parts.signal, async (signal) => {
      return guestInfo(await importGuest(name, { ...parts, signal }));
    }),
  async files(name): Promise<GuestFiles | null> {
    if (name === BUILTIN_GUEST_NAME) return { kernel: builtinGuest() };
    const guest = findGuest(name);
    if (guest === null) return null;
    const { kernel, initrd, disk, append } = guest.manifest;
    return {
      kernel: await readWholeFile(join(guest.folder, kernel)),
      initrd: initrd === "" ? undefined : await readWholeFile(join(guest.folder, initrd)),
      disk: disk === undefined ? undefined : join(guest.folder, disk),
      append,
    };
  },
};

const disks: DiskShelf = {
  facts: diskFileFacts,
  create: (path, bytes, options) =>
    abortable(options.signal, (signal) => createDiskFile(path, bytes, { ...options, signal })),
  resize: resizeDiskFile,
  remove: (path) => rm(path, { force: true }),
};

function environment(): Environment {
  const { node, v8 } = process.versions;
  return {
    engine: `Node ${node}, V8 ${v8}`,
    platform: `${process.platform} ${process.arch}`,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  };
}

async function openDisk(path: string, mode: DiskMode): Promise<BlockBackend> {
  const file = openBlockFile(path, { isReadOnly: mode !== "rw" });
  return mode === "cow" ? new OverlayBackend(file) : file;
}

function nodeWorld(): World {
  const platform = nodePlatform();
  return {
    version: version(),
    environment: environment(),
    guests,
    disks,
    openDisk,
    split: (args, types) =>
      parseArgs({
        args: [...args],
        options: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }])),
        allowPositionals: true,
        strict: false,
        tokens: true,
      }).tokens,
    streams: standardStreams(),
    isProgressLive: process.stderr.isTTY === true,
    say: (text) => process.stderr.write(text),
    print: (text) => process.stdout.write(text),
    readFile: readWholeFile,
    writeFile: writeWholeFile,
    openWriter: openFileWriter,
    openSink: openFileSink,
    openSource: openFileSource,
    openStore: async (path, options) =>
      SnapshotStore.open(await openStoreDirectory(path, options), { platform }),
    openLinks: nodeLinks,
    openState: openStoreDirectory,
    listFolder,
    listenControl,
    listenTcp,
    connectControl,
    openPrompt,
    loadHistory,
    saveHistory,
    createHost: (options) => Host.create(options),
    onSignal,
    folder: process.cwd(),
    resolvePath: resolve,
    monotonicMs: platform.monotonicMs,
    breathe: platform.yieldToEventLoop,
    wallMs: platform.wallMs,
    after: platform.after,
  };
}

try {
  process.exitCode = await main(process.argv.slice(2), nodeWorld());
} catch (error) {
  const isKnown = error instanceof VmError || error instanceof UsageError;
  const text = isKnown ? error.message : ((error as Error)?.stack ?? String(error));
  process.stderr.write(`rivulet: ${text}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
hangUp();
