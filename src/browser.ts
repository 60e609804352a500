/**
 * browser: the front door in a browser: the public API with the browser's platform behind
 * `Host.create`, for windows and workers; and RemoteMachine, a machine in a worker of its own.
 */
import { DirtyBitmap as AnyDirtyBitmap } from "./core/dirty-bitmap.ts";
import { PageCodec as AnyPageCodec, type PageCodecOptions } from "./core/page-codec.ts";
import { Host as AnyHost, type HostOptions } from "./machine/host.ts";
import { browserPlatform } from "./platform/browser/platform.ts";
import { workerThread } from "./platform/browser/worker-thread.ts";
import type { RemoteConfig } from "./remote/protocol.ts";
import { RemoteMachine as AnyRemoteMachine } from "./remote/remote-machine.ts";

export * from "./index.ts";
export { BlobBackend } from "./platform/browser/block-blob.ts";
export { openUrlDisk } from "./platform/browser/block-url.ts";
export { type BrowserPlatformOptions, browserPlatform } from "./platform/browser/platform.ts";
export { browserLinks } from "./platform/browser/socket-link.ts";
export { openStoreDatabase } from "./platform/browser/store-database.ts";
export type { RemoteDisk } from "./remote/disk.ts";
export type {
  RemoteConfig,
  RemoteExecOptions,
  RemoteStats,
  RemoteWaitOptions,
} from "./remote/protocol.ts";
export type { OutputListener, RemoteConsole } from "./remote/remote-machine.ts";

/** A host of machines; see machine/host.ts. */
export type Host = AnyHost;

/** Makes hosts; the platform is this window's or worker's unless another one is given. */
export const Host = {
  /**
   * Reserves the arena and instantiates the core. Throws "bad-config", "no-memory", or "not-found"
   * when machine.wasm is not served.
   */
  create(options: Partial<HostOptions> = {}): Promise<AnyHost> {
    return AnyHost.create({ platform: browserPlatform(), ...options });
  },
};

/** Where pages.wasm is served, when the bundler does not find it by itself. */
export interface PagesPlace {
  readonly pagesUrl?: string | URL;
}

/** A set of page numbers; see core/dirty-bitmap.ts. */
export type DirtyBitmap = AnyDirtyBitmap;

/** Makes sets of page numbers that belong to no machine. */
export const DirtyBitmap = {
  /** `pages` pages (1 to 2^30), none marked. Throws "bad-argument", "no-memory" or "not-found". */
  create(pages: number, place: PagesPlace = {}): Promise<AnyDirtyBitmap> {
    return AnyDirtyBitmap.create(pages, { platform: browserPlatform(place) });
  },
};

/** Zero test, hash, delta and LZ4 of pages; see core/page-codec.ts. */
export type PageCodec = AnyPageCodec;

/** Makes page codecs. */
export const PageCodec = {
  /** Throws "bad-argument" for a key that is not 16 bytes, or "not-found". */
  create(options: PageCodecOptions & PagesPlace = {}): Promise<AnyPageCodec> {
    const { pagesUrl, ...rest } = options;
    return AnyPageCodec.create({ ...rest, platform: browserPlatform({ pagesUrl }) });
  },
};

/**
 * What a machine in a worker is made of: a MachineConfig whose disks can be sent there. A disk is
 * bytes, a Blob (a File) that is read as the guest reads, or the URL of a file on a server that
 * answers range requests.
 */
export type RemoteMachineConfig = RemoteConfig<Blob | string | URL>;

/** What `RemoteMachine.create` may be told beside the configuration. */
export interface RemoteMachineOptions {
  /** Address space to reserve for guest memory; by default 4 GiB, or the most that can be had. */
  readonly arenaBytes?: number;
  /** Where machine.wasm is served, when the bundler does not find it by itself. */
  readonly coreUrl?: string | URL;
  /** A worker that runs `rivulet/browser-worker`, when the bundler does not find that by itself. */
  readonly worker?: Worker;
}

/** A machine in a worker; see remote/remote-machine.ts. */
export type RemoteMachine = AnyRemoteMachine;

/** A worker would take a relative address from its own. */
function absolute(url: string | URL): string {
  return new URL(url, globalThis.location.href).href;
}

/** These words, in this form, are what bundlers look for. */
function startWorker(): Worker {
  return new Worker(new URL("./browser-worker.js", import.meta.url), { type: "module" });
}

/** Makes machines that run in a worker each, so that the page stays free for its user. */
export const RemoteMachine = {
  /**
   * Starts a worker and makes a machine in it. Throws what `Host.create` and `createMachine` throw,
   * and "io" when the worker does not start.
   */
  create(
    config: RemoteMachineConfig,
    { worker, coreUrl, arenaBytes }: RemoteMachineOptions = {},
  ): Promise<AnyRemoteMachine> {
    const options = { arenaBytes, coreUrl: coreUrl === undefined ? undefined : absolute(coreUrl) };
    const disks = config.disks?.map(({ source, mode }) => ({
      source: typeof source === "string" || source instanceof URL ? absolute(source) : source,
      mode,
    }));
    return AnyRemoteMachine.create(
      workerThread(worker ?? startWorker()),
      { ...config, disks },
      options,
    );
  },
};
