/**
 * node: the front door under Node: the public API with Node's platform behind `Host.create`.
 */
import { DirtyBitmap as AnyDirtyBitmap } from "./core/dirty-bitmap.ts";
import { PageCodec as AnyPageCodec, type PageCodecOptions } from "./core/page-codec.ts";
import { Host as AnyHost, type HostOptions } from "./machine/host.ts";
import { nodePlatform } from "./platform/node/platform.ts";

export * from "./index.ts";
export { openBlockFile } from "./platform/node/block-file.ts";
export {
  DEBIAN_GUEST_NAME,
  type PrepareOptions,
  type PrepareProgress,
  prepareDebian,
} from "./platform/node/guest-debian.ts";
export {
  findGuest,
  type GuestManifest,
  type GuestParts,
  importGuest,
  listGuests,
  type PreparedGuest,
  removeGuest,
} from "./platform/node/guest-store.ts";
export {
  type LinkCertificates,
  type NodeLinkOptions,
  nodeLinks,
} from "./platform/node/links.ts";
export { nodePlatform } from "./platform/node/platform.ts";
export {
  createStoreFile,
  openStoreDirectory,
  openStoreFile,
  type StoreDirectoryOptions,
} from "./platform/node/store-directory.ts";

/** A host of machines; see machine/host.ts. */
export type Host = AnyHost;

/** Makes hosts; the platform is this Node process unless another one is given. */
export const Host = {
  /** Reserves the arena and instantiates the core. Throws "bad-config" or "no-memory". */
  create(options: Partial<HostOptions> = {}): Promise<AnyHost> {
    return AnyHost.create({ platform: nodePlatform(), ...options });
  },
};

/** A set of page numbers; see core/dirty-bitmap.ts. */
export type DirtyBitmap = AnyDirtyBitmap;

/** Makes sets of page numbers that belong to no machine. */
export const DirtyBitmap = {
  /** `pages` pages (1 to 2^30), none marked. Throws "bad-argument" or "no-memory". */
  create(pages: number): Promise<AnyDirtyBitmap> {
    return AnyDirtyBitmap.create(pages, { platform: nodePlatform() });
  },
};

/** Zero test, hash, delta and LZ4 of pages; see core/page-codec.ts. */
export type PageCodec = AnyPageCodec;

/** Makes page codecs. */
export const PageCodec = {
  /** Throws "bad-argument" for a key that is not 16 bytes. */
  create(options: PageCodecOptions = {}): Promise<AnyPageCodec> {
    return AnyPageCodec.create({ ...options, platform: nodePlatform() });
  },
};
