/**
 * gdb: the door that a gdb comes in by: `debug gdb VM tcp://...`, and the options of `run`.
 *
 * Owns    the options and the text tcp://HOST:PORT.
 * Used by commands/run.ts and commands/debug-run.ts; vm.ts closes the door with its machine.
 */
import { type GdbPeer, GdbServer, VmError } from "../index.ts";
import { type Call, type CommandOption, UsageError } from "./command.ts";
import type { Vm } from "./vm.ts";
import type { TcpPlace } from "./world.ts";

/** A door that is open. */
export interface GdbDoor {
  /** tcp://HOST:PORT, with the port that was had. */
  readonly address: string;
  readonly isAttached: boolean;
  close(): Promise<void>;
}

/** Consent to an address that other hosts can reach. */
export const OPEN_OPTION = {
  "gdb-open-to-network": {
    help: "let others than this host attach: whoever does owns the guest and its memory",
  },
} as const satisfies Readonly<Record<string, CommandOption>>;

/** What `run` takes. */
export const GDB_OPTIONS = {
  gdb: {
    value: "tcp://127.0.0.1:PORT",
    kind: "text",
    help: "let gdb attach there; port 0 takes a free one, named on stderr",
  },
  "gdb-wait": { help: "with --gdb: stand before the first instruction until gdb lets it go" },
  ...OPEN_OPTION,
} as const satisfies Readonly<Record<string, CommandOption>>;

/** Reads tcp://HOST:PORT; IPv6 addresses stand in brackets. Throws UsageError. */
export function tcpPlace(text: string, label: string, isOpen: boolean): TcpPlace {
  const match = /^tcp:\/\/(?:\[([0-9a-f:]+)\]|([^:[\]/]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65535) return { host: match[1] ?? match[2], port, isOpen };
  throw new UsageError(
    `${label} "${text}": accepted is tcp://HOST:PORT, such as tcp://127.0.0.1:0`,
  );
}

/** What a gdb cannot do itself. */
export interface GdbHands {
  /** Lets the machine go on. */
  resume(): void;
  /** gdb's `kill`. */
  kill(): void;
}

/** An address that may not be listened on is a wrong command line. */
async function listen(place: TcpPlace, call: Call, onPeer: (peer: GdbPeer) => void) {
  try {
    return await call.world.listenTcp(place, onPeer);
  } catch (error) {
    if (!(error instanceof VmError) || error.code !== "bad-argument") throw error;
    throw new UsageError(error.message);
  }
}

/**
 * Opens the door to a machine; a gdb that attaches gets the machine that `vm` has then. Throws
 * UsageError, VmError "busy" and "io".
 */
export async function openGdb(
  vm: Vm,
  place: TcpPlace,
  call: Call,
  hands: GdbHands,
): Promise<GdbDoor> {
  const server = new GdbServer({ target: () => ({ machine: vm.machine, ...hands }) });
  const listener = await listen(place, call, (peer) => server.accept(peer));
  const host = place.host.includes(":") ? `[${place.host}]` : place.host;
  const door: GdbDoor = {
    address: `tcp://${host}:${listener.port}`,
    get isAttached() {
      return server.isAttached;
    },
    close: async () => {
      if (vm.gdb === door) vm.gdb = null;
      server.close();
      await listener.close();
    },
  };
  if (vm.isRemoved) {
    await door.close();
    throw new VmError("not-found", `${vm.name} was destroyed meanwhile`);
  }
  // somebody else may have opened one meanwhile
  const other = vm.gdb;
  vm.gdb = door;
  await other?.close();
  return door;
}

/**
 * What the options of `run` ask for, once the machine is booted; `kill` ends the run, or keeps it
 * from beginning. Throws UsageError.
 */
export async function openRunGdb(vm: Vm, call: Call, kill: () => void): Promise<void> {
  const address = call.text("gdb");
  if (address === undefined) {
    for (const name of ["gdb-wait", "gdb-open-to-network"]) {
      if (call.has(name)) throw new UsageError(`run: --${name} goes with --gdb tcp://HOST:PORT`);
    }
    return;
  }
  const place = tcpPlace(address, "--gdb", call.has("gdb-open-to-network"));
  const hands = {
    // the run, when it is not under way yet, is about to be
    resume: () => {
      if (vm.machine.state === "paused" && vm.machine.reason !== "memory") vm.machine.resume();
    },
    kill,
  };
  const door = await openGdb(vm, place, call, hands);
  call.streams.say(`gdb: ${door.address}\n`);
  if (call.has("gdb-wait")) vm.machine.pause("gdb");
}
