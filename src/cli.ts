#!/usr/bin/env node
/**
 * cli: the binary `rivulet`: hands this process to the shell's commands, turns errors into one line
 * and a status.
 *
 * Holds   0 is success, 1 a failure, 2 a wrong command line; `run` exits as the guest asked.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  type BlockBackend,
  BUILTIN_GUEST_NAME,
  builtinGuest,
  DEBIAN_GUEST_NAME,
  findGuest,
  Host,
  listGuests,
  nodePlatform,
  OverlayBackend,
  openBlockFile,
  type PreparedGuest,
  prepareDebian,
  removeGuest,
  VmError,
} from "./node.ts";
import { connectControl, listenControl } from "./platform/node/control-socket.ts";
import {
  listFolder,
  openFileWriter,
  readWholeFile,
  writeWholeFile,
} from "./platform/node/files.ts";
import { loadHistory, openPrompt, saveHistory } from "./platform/node/line-editor.ts";
import { onSignal, standardStreams } from "./platform/node/standard-streams.ts";
import { UsageError } from "./shell/command.ts";
import { main } from "./shell/main.ts";
import type { DiskMode, GuestFiles, GuestInfo, GuestShelf, World } from "./shell/world.ts";

function version(): string {
  const url = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}

function guestInfo({ folder, manifest }: PreparedGuest): GuestInfo {
  const { name, release, packages, files } = manifest;
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  return { name, release, packages, folder, bytes };
}

const guests: GuestShelf = {
  builtin: BUILTIN_GUEST_NAME,
  preparable: [DEBIAN_GUEST_NAME],
  list: () => listGuests().map(guestInfo),
  remove: removeGuest,
  async prepare(_name, options) {
    const controller = new AbortController();
    const endSignals = onSignal(() => controller.abort());
    try {
      return guestInfo(await prepareDebian({ ...options, signal: controller.signal }));
    } finally {
      endSignals();
    }
  },
  async files(name): Promise<GuestFiles | null> {
    if (name === BUILTIN_GUEST_NAME) return { kernel: builtinGuest() };
    const guest = findGuest(name);
    if (guest === null) return null;
    const { kernel, initrd, append } = guest.manifest;
    return {
      kernel: await readWholeFile(join(guest.folder, kernel)),
      initrd: await readWholeFile(join(guest.folder, initrd)),
      append,
    };
  },
};

async function openDisk(path: string, mode: DiskMode): Promise<BlockBackend> {
  const file = openBlockFile(path, { isReadOnly: mode !== "rw" });
  return mode === "cow" ? new OverlayBackend(file) : file;
}

function nodeWorld(): World {
  const platform = nodePlatform();
  return {
    version: version(),
    guests,
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
    columns: process.stdout.columns ?? 80,
    readFile: readWholeFile,
    writeFile: writeWholeFile,
    openWriter: openFileWriter,
    listFolder,
    listenControl,
    connectControl,
    openPrompt,
    loadHistory,
    saveHistory,
    createHost: (options) => Host.create(options),
    onSignal,
    folder: process.cwd(),
    resolvePath: resolve,
    monotonicMs: platform.monotonicMs,
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
