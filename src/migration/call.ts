/**
 * call: how two ends come to talk: a link, HELLO and WELCOME on it.
 *
 * Used by manager.ts, which takes calls; source.ts and target.ts, which call.
 * Holds   who does not say HELLO in time, or not as it must be, is hung up on. The secret is said
 *         in HELLO alone.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { ByteLink, LinkDoor } from "../platform/link.ts";
import { Channel, type DataSink, type Message, type Receiver } from "./channel.ts";
import { decodeJson, encodeJson, type JsonMessage } from "./messages.ts";
import { VERSIONS } from "./wire.ts";

/** How long the first message of a call, or its answer, may take. */
const GREETING_MS = 10_000;

/** What a caller says. */
export type Greeting = JsonMessage<"hello">;

/** Hands the messages of a channel on to whoever is to have them now. */
export class Line implements Receiver {
  readonly channel: Channel;
  #receiver: Receiver | null = null;
  #closed: string | null = null;
  /** A message came while it was nobody's: told when it is somebody's again. */
  #onGiven: () => void = () => {};

  constructor(link: ByteLink, platform: Platform) {
    this.channel = new Channel(link, platform);
  }

  /** Whoever takes over; null: what comes waits. Told at once when the link is over. */
  give(receiver: Receiver | null): void {
    this.#receiver = receiver;
    if (receiver === null) return;
    if (this.#closed !== null) receiver.closed(this.#closed);
    this.#onGiven();
  }

  open(): void {
    this.channel.open(this);
  }

  async message(message: Message): Promise<void> {
    if (this.#receiver === null) {
      await new Promise<void>((resolve) => {
        this.#onGiven = resolve;
      });
    }
    await this.#receiver?.message(message);
  }

  begin(message: Message, dataBytes: number): DataSink {
    if (this.#receiver !== null) return this.#receiver.begin(message, dataBytes);
    throw new VmError("bad-file", `${this.channel.peer} sent ${message.name} for nobody`);
  }

  closed(why: string): void {
    if (this.#closed !== null) return;
    this.#closed = why;
    this.#onGiven(); // what waited is of no use to anybody
    this.#receiver?.closed(why);
  }
}

/** Waits for one message; the line is nobody's afterwards. */
function oneMessage(line: Line, platform: Platform, what: string): Promise<Message> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    const stop = platform.after(GREETING_MS, () => {
      fail(new VmError("timeout", `${line.channel.peer} sent no ${what} in ${GREETING_MS} ms`));
      line.channel.close("it took too long");
    });
    line.give({
      message: (message) => {
        stop();
        line.give(null);
        resolve({ ...message, body: message.body.slice() });
      },
      begin: (message) => {
        throw new VmError("bad-file", `${line.channel.peer} sent ${message.name} for ${what}`);
      },
      closed: (why) => fail(new VmError("io", `${line.channel.peer}: ${why}`)),
    });
  });
}

/** The error that a refusal tells of. */
export function errorOf({ code, reason }: JsonMessage<"refuse">, peer: string): VmError {
  return new VmError(code, `${peer} refuses: ${reason}`);
}

/**
 * Calls an address. Rejects with what the other end refuses for, "io", "timeout", "unsupported".
 */
export async function call(
  door: LinkDoor,
  platform: Platform,
  address: string,
  greeting: Omit<Greeting, "versions">,
): Promise<Line> {
  const line = new Line(await door.dial(address), platform);
  const { channel } = line;
  try {
    const answer = oneMessage(line, platform, "welcome");
    answer.catch(() => {}); // told when it is waited for
    line.open();
    await channel.send("hello", encodeJson("hello", { ...greeting, versions: [...VERSIONS] }));
    const message = await answer;
    if (message.name === "refuse") throw errorOf(decodeJson("refuse", message.body), channel.peer);
    if (message.name !== "welcome") {
      throw new VmError("bad-file", `${channel.peer} answered hello with ${message.name}`);
    }
    const { version } = decodeJson("welcome", message.body);
    if (VERSIONS.includes(version as (typeof VERSIONS)[number])) return line;
    const text = `${channel.peer} speaks version ${version} of the protocol`;
    throw new VmError("unsupported", `${text}; accepted are ${VERSIONS.join(", ")}`);
  } catch (error) {
    channel.close((error as Error).message);
    throw error;
  }
}

/**
 * Takes a call as far as its HELLO, and answers it unless `check` throws; that is then told to the
 * caller. Rejects when nobody is there any more.
 */
export async function takeCall(
  link: ByteLink,
  platform: Platform,
  check: (greeting: Greeting) => void,
): Promise<{ line: Line; greeting: Greeting }> {
  const line = new Line(link, platform);
  const { channel } = line;
  const first = oneMessage(line, platform, "hello");
  first.catch(() => {}); // told when it is waited for
  line.open();
  try {
    const message = await first;
    if (message.name !== "hello") {
      throw new VmError("bad-file", `${channel.peer} began with ${message.name}`);
    }
    const greeting = decodeJson("hello", message.body);
    const version = VERSIONS.findLast((one) => greeting.versions.includes(one));
    if (version === undefined) {
      const text = `versions ${greeting.versions.join(", ")} of the protocol`;
      throw new VmError("unsupported", `${text}: accepted are ${VERSIONS.join(", ")}`);
    }
    check(greeting);
    await channel.send("welcome", encodeJson("welcome", { version }));
    return { line, greeting };
  } catch (error) {
    await channel.hangUp(error);
    throw error;
  }
}
