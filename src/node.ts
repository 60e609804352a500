/**
 * node: the front door under Node: the public API with Node's platform behind `Host.create`.
 */
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
export { nodePlatform } from "./platform/node/platform.ts";

/** A host of machines; see machine/host.ts. */
export type Host = AnyHost;

/** Makes hosts; the platform is this Node process unless another one is given. */
export const Host = {
  /** Reserves the arena and instantiates the core. Throws "bad-config" or "no-memory". */
  create(options: Partial<HostOptions> = {}): Promise<AnyHost> {
    return AnyHost.create({ platform: nodePlatform(), ...options });
  },
};
