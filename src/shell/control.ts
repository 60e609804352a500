/**
 * control: serves commands to clients on a unix socket: `--control unix:PATH`.
 *
 * Owns    the connections. Used by main.ts and commands/run.ts.
 * Holds   one connection runs one command at a time; a client that goes away aborts it; a client
 *         that sends nonsense is told so and left; one that does not read is left.
 */
import type { Caller } from "./call.ts";
import type { CommandSpec, SessionStreams } from "./command.ts";
import { UsageError } from "./command.ts";
import {
  ClientMessage,
  encodeMessage,
  fromBase64,
  MessageReader,
  PROTOCOL,
  ProtocolError,
  pieces,
  type ServerMessage,
  toBase64,
} from "./control-protocol.ts";
import type { Fleet } from "./fleet.ts";
import { Abort, checkSession, runWords, Session } from "./session.ts";
import type { Peer, World } from "./world.ts";

const PEERS_MAX = 64;
/** Output that may wait for a client before it is left. */
const PENDING_BYTES_MAX = 64 << 20;
/** Input that may come from a client after it was told to hold it. */
const HELD_BYTES_MAX = 16 << 20;
/** Commands that may wait for the one under way. */
const QUEUE_MAX = 64;
/** How long commands may take to say their last when the process ends. */
const GRACE_MS = 500;
/** Exit status of a command that ended because the process does. */
const STATUS_ENDED = 1;
const LABEL = "rivulet: ";

/** The path in "unix:PATH". Throws UsageError. */
export function controlPath(text: string, option: string): string {
  const path = /^unix:(.+)$/.exec(text)?.[1];
  if (path !== undefined) return path;
  throw new UsageError(`--${option} "${text}": accepted is unix:PATH`);
}

/** What commands of clients work on. */
export interface ControlParts {
  readonly fleet: Fleet;
  readonly world: World;
  readonly commands: readonly CommandSpec[];
}

/** What serves. */
export interface ControlServer {
  /** Of the socket. */
  readonly path: string;
  /**
   * Takes no more commands, lets those under way end by themselves, or with the machines, which
   * `endMachines` ends, interrupts what is left, and closes.
   */
  close(endMachines: () => Promise<void>): Promise<void>;
}

type RunMessage = Extract<ClientMessage, { type: "run" }>;

/** One client. */
class Connection {
  readonly #peer: Peer;
  readonly #parts: ControlParts;
  readonly #reader = new MessageReader(ClientMessage);
  readonly #queue: RunMessage[] = [];
  #abort: Abort | null = null;
  #current: RunMessage | null = null;
  #onInput: ((bytes: Uint8Array | null) => void) | null = null;
  /** Input that came though the client was told to hold it; null while it is not. */
  #heldBytes: number | null = null;
  #isClosed = false;
  #isEnding = false;
  #work: Promise<void> = Promise.resolve();
  readonly #onBroken = new Set<() => void>();

  constructor(peer: Peer, parts: ControlParts) {
    this.#peer = peer;
    this.#parts = parts;
    peer.onClose(() => this.#closed());
    peer.onBytes((bytes) => this.#take(bytes));
    this.#send({ type: "hello", protocol: PROTOCOL, version: parts.world.version });
  }

  #closed(): void {
    this.#isClosed = true;
    this.#queue.length = 0;
    this.#abort?.abort();
    for (const listener of [...this.#onBroken]) listener();
    this.#onBroken.clear();
  }

  #send(message: ServerMessage): boolean {
    if (this.#isClosed) return true;
    if (this.#peer.pendingBytes > PENDING_BYTES_MAX) {
      this.#leave();
      return true;
    }
    return this.#peer.write(encodeMessage(message));
  }

  #fail(message: string): void {
    this.#send({ type: "error", message });
    this.#leave();
  }

  #leave(): void {
    this.#peer.close();
    this.#closed();
  }

  /** Takes no more commands; settles when the one under way is over. */
  finish(): Promise<void> {
    this.#isEnding = true;
    this.#queue.length = 0;
    return this.#work;
  }

  /** Tells a client whose command is under way why that is about to end. */
  warn(): void {
    if (this.#current === null) return;
    const { isTerminal } = this.#current;
    const text = `${LABEL}the process that serves this command ends`;
    // a terminal may be raw, its cursor anywhere
    this.#streams(this.#current).say(isTerminal ? `\r\n${text}\r\n` : `${text}\n`);
  }

  /** Ends the command under way. */
  interrupt(): void {
    this.#abort?.abort(STATUS_ENDED);
  }

  #take(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    try {
      for (const message of this.#reader.take(bytes)) this.#handle(message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(error.message);
    }
  }

  #handle(message: ClientMessage): void {
    switch (message.type) {
      case "run":
        if (this.#queue.length >= QUEUE_MAX) {
          this.#fail(`more than ${QUEUE_MAX} commands wait`);
          return;
        }
        if (this.#isEnding) {
          this.#fail("the process ends");
          return;
        }
        this.#queue.push(message);
        if (this.#abort === null) this.#work = this.#runQueue();
        return;
      case "interrupt":
        this.#abort?.abort();
        return;
      case "input":
        this.#takeInput(fromBase64(message.data));
        return;
      case "input-end":
        this.#onInput?.(null);
        return;
    }
  }

  #takeInput(bytes: Uint8Array): void {
    if (this.#heldBytes !== null) this.#heldBytes += bytes.length;
    if ((this.#heldBytes ?? 0) > HELD_BYTES_MAX) {
      this.#fail(`more than ${HELD_BYTES_MAX} bytes of input while it is held`);
      return;
    }
    this.#onInput?.(bytes);
  }

  /** The socket itself is always read: an interrupt, or the end, may come. */
  #holdInput(isHeld: boolean): void {
    if (isHeld === (this.#heldBytes !== null)) return;
    this.#heldBytes = isHeld ? 0 : null;
    this.#send({ type: "hold", isOn: isHeld });
  }

  async #runQueue(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#abort = new Abort();
      this.#current = next;
      const session = new Session(next.folder);
      const streams = this.#streams(next);
      const caller: Caller = { ...this.#parts, streams, signal: this.#abort, session };
      const status = await runWords(next.words, caller, LABEL, checkSession);
      this.#current = null;
      this.#send({ type: "exit", status });
    }
    this.#abort = null;
  }

  #output(type: "stdout" | "stderr", bytes: Uint8Array): boolean {
    let hasRoom = true;
    for (const piece of pieces(bytes)) hasRoom = this.#send({ type, data: toBase64(piece) });
    return hasRoom;
  }

  #streams({ isTerminal }: RunMessage): SessionStreams {
    const encoder = new TextEncoder();
    return {
      isTerminal,
      isProgressLive: false,
      print: (text) => void this.#output("stdout", encoder.encode(text)),
      say: (text) => void this.#output("stderr", encoder.encode(text)),
      write: (bytes) => this.#output("stdout", bytes),
      drained: () => this.#peer.drained(),
      flush: () => this.#peer.drained(),
      listen: (onInput) => {
        this.#onInput = onInput;
        this.#send({ type: "listen", isOn: true });
        return () => {
          this.#onInput = null;
          this.#send({ type: "listen", isOn: false });
        };
      },
      holdInput: (isHeld) => this.#holdInput(isHeld),
      onBroken: (listener) => {
        if (this.#isClosed) listener();
        else this.#onBroken.add(listener);
      },
    };
  }
}

/** Waits for `work`, but not for ever. */
async function graceFor(work: Promise<unknown>, world: World): Promise<void> {
  let cancel = () => {};
  const isLate = new Promise<void>((resolve) => {
    cancel = world.after(GRACE_MS, resolve);
  });
  await Promise.race([work, isLate]);
  cancel();
}

/** Ends the commands of clients; each is told how its own ended. */
async function endCommands(
  connections: readonly Connection[],
  world: World,
  endMachines: () => Promise<void>,
): Promise<void> {
  const isOver = Promise.all(connections.map((connection) => connection.finish()));
  await graceFor(isOver, world);
  for (const connection of connections) connection.warn();
  await endMachines();
  // what waited for a machine is over, and says so, within one round
  await world.breathe();
  for (const connection of connections) connection.interrupt();
  await graceFor(isOver, world);
}

/** Serves until it is closed. Throws UsageError, VmError "busy" and "io". */
export async function serveControl(text: string, parts: ControlParts): Promise<ControlServer> {
  const { world } = parts;
  const path = world.resolvePath(world.folder, controlPath(text, "control"));
  const connections = new Set<Connection>();
  let isEnding = false;
  const door = await world.listenControl(path, (peer) => {
    if (isEnding || connections.size >= PEERS_MAX) {
      const full = `${PEERS_MAX} clients are connected: try again later`;
      const message = isEnding ? "the process ends" : full;
      peer.write(encodeMessage({ type: "error", message }));
      peer.close();
      return;
    }
    const { fleet, commands } = parts;
    const connection = new Connection(peer, { fleet, world, commands });
    connections.add(connection);
    peer.onClose(() => connections.delete(connection));
  });
  return {
    path: door.path,
    close: async (endMachines) => {
      isEnding = true;
      try {
        await endCommands([...connections], world, endMachines);
      } finally {
        await door.close();
      }
    },
  };
}
