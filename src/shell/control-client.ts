/**
 * control-client: `rivulet --connect unix:PATH FAMILY COMMAND ...`: one command in the process that
 * serves PATH, on this process's streams.
 *
 * Used by main.ts.
 * Holds   the first Ctrl-C interrupts the command there; the second leaves.
 */
import { VmError } from "../index.ts";
import { controlPath } from "./control.ts";
import {
  type ClientMessage,
  encodeMessage,
  fromBase64,
  MessageReader,
  PROTOCOL,
  ProtocolError,
  pieces,
  ServerMessage,
  toBase64,
} from "./control-protocol.ts";
import type { Peer, World } from "./world.ts";

/** Exit status when whoever read our output went away (128 + SIGPIPE). */
const STATUS_PIPE = 141;

class Client {
  /** The exit status, from over there or of the signal. */
  readonly status: Promise<number>;
  readonly #peer: Peer;
  readonly #world: World;
  readonly #words: readonly string[];
  readonly #errors = new TextDecoder();
  #settle: (end: number) => void = () => {};
  #fail: (error: VmError) => void = () => {};
  #endInput: (() => void) | null = null;
  #isInterrupted = false;
  #isBlocked = false;
  /** Input waits: for the command over there, for the socket. */
  readonly #holds = { command: false, socket: false };
  /** The command is over: what happens to the connection does not matter. */
  #isOver = false;

  constructor(peer: Peer, words: readonly string[], world: World) {
    this.#peer = peer;
    this.#world = world;
    this.#words = words;
    this.status = new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    const reader = new MessageReader(ServerMessage);
    const early = "the connection ended before the command did";
    peer.onClose(() => {
      if (!this.#isOver) this.#fail(new VmError("io", early));
    });
    peer.onBytes((bytes) => {
      try {
        for (const message of reader.take(bytes)) this.#handle(message);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        const text = `the other side does not speak this protocol: ${error.message}`;
        this.#fail(new VmError("io", text));
      }
    });
  }

  #send(message: ClientMessage): void {
    this.#peer.write(encodeMessage(message));
  }

  #handle(message: ServerMessage): void {
    const { streams } = this.#world;
    switch (message.type) {
      case "hello":
        this.#greet(message.protocol);
        return;
      case "stdout":
        this.#write(fromBase64(message.data));
        return;
      case "stderr":
        this.#world.say(this.#errors.decode(fromBase64(message.data), { stream: true }));
        return;
      case "listen":
        this.#listen(message.isOn);
        return;
      case "hold":
        this.#hold("command", message.isOn);
        return;
      case "error":
        this.#fail(new VmError("io", message.message));
        return;
      case "exit":
        this.#isOver = true;
        streams.flush().then(() => this.#settle(message.status));
        return;
    }
  }

  #greet(protocol: number): void {
    if (protocol !== PROTOCOL) {
      const text = `protocol ${protocol} is spoken there; accepted is ${PROTOCOL}`;
      this.#fail(new VmError("unsupported", text));
      return;
    }
    const { streams, folder } = this.#world;
    const { isTerminal } = streams;
    this.#send({ type: "run", words: [...this.#words], folder, isTerminal });
  }

  /** At our reader's pace. */
  #write(bytes: Uint8Array): void {
    const { streams } = this.#world;
    if (streams.write(bytes) || this.#isBlocked) return;
    this.#isBlocked = true;
    this.#peer.hold(true);
    streams.drained().then(() => {
      this.#isBlocked = false;
      this.#peer.hold(false);
    });
  }

  #listen(isOn: boolean): void {
    this.#endInput?.();
    this.#endInput = null;
    if (!isOn) return;
    const { streams } = this.#world;
    this.#endInput = streams.listen((bytes) => {
      if (bytes === null) {
        this.#send({ type: "input-end" });
        return;
      }
      let hasRoom = true;
      for (const piece of pieces(bytes)) {
        hasRoom = this.#peer.write(encodeMessage({ type: "input", data: toBase64(piece) }));
      }
      if (hasRoom) return;
      this.#hold("socket", true);
      this.#peer.drained().then(() => this.#hold("socket", false));
    });
    if (this.#isHeld) streams.holdInput(true);
  }

  get #isHeld(): boolean {
    return this.#holds.command || this.#holds.socket;
  }

  /** Stops reading input while anything wants that. */
  #hold(who: "command" | "socket", isOn: boolean): void {
    this.#holds[who] = isOn;
    if (this.#endInput !== null) this.#world.streams.holdInput(this.#isHeld);
  }

  /** Ctrl-C, or a signal with its exit status. */
  interrupt(status: number): void {
    if (this.#isInterrupted || status !== 130) {
      this.#settle(status);
      return;
    }
    this.#isInterrupted = true;
    this.#send({ type: "interrupt" });
  }

  end(): void {
    this.#endInput?.();
    this.#peer.close();
  }
}

/** Runs the words over there; the exit status. Throws VmError and UsageError. */
export async function runRemote(
  connect: string,
  words: readonly string[],
  world: World,
): Promise<number> {
  const path = world.resolvePath(world.folder, controlPath(connect, "connect"));
  const peer = await world.connectControl(path);
  const client = new Client(peer, words, world);
  const endSignals = world.onSignal((status) => client.interrupt(status));
  world.streams.onBroken(() => client.interrupt(STATUS_PIPE));
  try {
    return await client.status;
  } finally {
    endSignals();
    client.end();
  }
}
