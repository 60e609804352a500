/**
 * sections: what of a machine belongs neither to the core nor to one device, as sections, and back.
 *
 * Used by capture.ts and adopt.ts. Devices' sections bear "device/" before their names.
 * Holds   reading changes nothing: it checks everything and says what to do; numbers are
 *         little-endian.
 *
 *   hub     "HUB ", seed u64, blocks of entropy taken u64, ticks behind the host u64, request u8
 *           (0 none, 1 power-off, 2 reboot, 3 failure) and its code u32, devices u16, then for each
 *           by address: alarm u64 (all ones: none), left work undone u8
 *   htif    "HTIF", speaks it u8, tohost u64, fromhost u64, a command is left u8
 *   agent   "AGNT", an agent serves u8, it is not listened to u8, last command u32, bytes of a
 *           frame that comes in u32, they, bytes on their way out u32, they, commands u16, for each
 *           number u32 and held u8
 *   console "CONS", bytes of output's tail u16, tail, bytes of input that waits u32, input
 */
import type { DeviceSection, MachineRequest } from "../device/contract.ts";
import { SectionReader, SectionWriter } from "../device/section.ts";
import { AGENT_HEADER_BYTES } from "../guest/agent-protocol.ts";
import type { HtifSymbols } from "./htif.ts";
import type { HubEntry } from "./hub.ts";

/** Before the name of a device in the name of its section. */
export const DEVICE_PREFIX = "device/";
const HUB = "hub";
const HTIF = "htif";
const CONSOLE = "console";
const AGENT = "agent";
const DEVICES_MAX = 1024;
const TAIL_BYTES_MAX = 4096;
const REQUESTS = [null, "poweroff", "reboot", "failure"] as const;

/** What the hub, and entropy, are at. */
export interface HubFacts {
  readonly seed: bigint;
  readonly entropyCounter: number;
  /** What of host time the machine has not seen, in ticks. */
  readonly behindTicks: number;
  readonly request: MachineRequest | null;
  /** One for each device, in order of address. */
  readonly entries: readonly HubEntry[];
}

/** The section of the hub. */
export function saveHub(facts: HubFacts): DeviceSection {
  const writer = new SectionWriter("HUB ");
  const { request } = facts;
  writer.u64(facts.seed);
  writer.u53(facts.entropyCounter);
  writer.u53(facts.behindTicks);
  writer.u8(REQUESTS.indexOf(request?.kind ?? null));
  writer.u32(request !== null && "code" in request ? request.code : 0);
  writer.u16(facts.entries.length);
  for (const { alarm, isLeft } of facts.entries) {
    writer.ticks(alarm);
    writer.flag(isLeft);
  }
  return writer.finish(HUB, 1);
}

/** Throws "bad-section" when it is not of a machine with as many devices. */
export function readHub(section: DeviceSection, devices: number): HubFacts {
  const reader = new SectionReader(section, HUB, "HUB ", 1);
  const seed = reader.u64();
  const entropyCounter = reader.u53();
  const behindTicks = reader.u53();
  const kind = REQUESTS[reader.u8(REQUESTS.length - 1)];
  const code = reader.u32();
  const count = reader.u16(DEVICES_MAX);
  if (count !== devices) reader.refuse(`has ${count} devices, here are ${devices}`);
  const entries: HubEntry[] = [];
  while (entries.length < count) entries.push({ alarm: reader.ticks(), isLeft: reader.flag() });
  reader.end();
  const request = kind === null ? null : kind === "reboot" ? { kind } : { kind, code };
  return { seed, entropyCounter, behindTicks, request, entries };
}

/** What a program that speaks HTIF is at. */
export interface HtifFacts {
  readonly symbols: HtifSymbols | null;
  readonly isLeft: boolean;
}

/** The section of HTIF. */
export function saveHtif({ symbols, isLeft }: HtifFacts): DeviceSection {
  const writer = new SectionWriter("HTIF");
  writer.flag(symbols !== null);
  writer.u53(symbols?.tohost ?? 0);
  writer.u53(symbols?.fromhost ?? 0);
  writer.flag(isLeft);
  return writer.finish(HTIF, 1);
}

/** What saveHtif wrote. Throws "bad-section". */
export function readHtif(section: DeviceSection): HtifFacts {
  const reader = new SectionReader(section, HTIF, "HTIF", 1);
  const hasSymbols = reader.flag();
  const symbols = { tohost: reader.u53(), fromhost: reader.u53() };
  const isLeft = reader.flag();
  reader.end();
  return { symbols: hasSymbols ? symbols : null, isLeft };
}

/** The host's end of the console. */
export interface ConsoleFacts {
  /** The last bytes of the output: a shell's prompt is looked for there. */
  readonly tail: Uint8Array;
  /** What was typed and the guest has not taken. */
  readonly input: Uint8Array;
}

/** The section of the console. */
export function saveConsole({ tail, input }: ConsoleFacts): DeviceSection {
  const writer = new SectionWriter("CONS");
  writer.u16(tail.length);
  writer.bytes(tail);
  writer.u32(input.length);
  writer.bytes(input);
  return writer.finish(CONSOLE, 1);
}

/** What saveConsole wrote. Throws "bad-section". */
export function readConsole(section: DeviceSection): ConsoleFacts {
  const reader = new SectionReader(section, CONSOLE, "CONS", 1);
  const tail = reader.bytes(reader.u16(TAIL_BYTES_MAX));
  const input = reader.bytes(reader.u32());
  reader.end();
  return { tail, input };
}

/** The channel to the agent in the guest. */
export interface AgentFacts {
  readonly isUp: boolean;
  readonly isDeaf: boolean;
  readonly lastId: number;
  /** Of the frame that is coming in. */
  readonly incoming: Uint8Array;
  readonly outgoing: Uint8Array[];
  /** Commands that run in the guest, and whether they were told to hold their output. */
  readonly jobs: readonly { readonly id: number; readonly isHeld: boolean }[];
}

/** The section of the channel to the agent. */
export function saveAgent(facts: AgentFacts): DeviceSection {
  const writer = new SectionWriter("AGNT");
  writer.flag(facts.isUp);
  writer.flag(facts.isDeaf);
  writer.u32(facts.lastId);
  writer.u32(facts.incoming.length);
  writer.bytes(facts.incoming);
  writer.u32(facts.outgoing.reduce((sum, { length }) => sum + length, 0));
  for (const piece of facts.outgoing) writer.bytes(piece);
  writer.u16(facts.jobs.length);
  for (const { id, isHeld } of facts.jobs) {
    writer.u32(id);
    writer.flag(isHeld);
  }
  return writer.finish(AGENT, 1);
}

/**
 * What saveAgent wrote; `incomingMax` bytes of a frame and `jobsMax` commands are possible. Throws
 * "bad-section".
 */
export function readAgent(
  section: DeviceSection,
  incomingMax: number,
  jobsMax: number,
): AgentFacts {
  const reader = new SectionReader(section, AGENT, "AGNT", 1);
  const [isUp, isDeaf] = [reader.flag(), reader.flag()];
  const lastId = reader.u32();
  const incoming = reader.bytes(reader.u32(incomingMax - 1));
  const outgoing = reader.bytes(reader.u32());
  const count = reader.u16(jobsMax);
  const jobs = Array.from({ length: count }, () => ({ id: reader.u32(), isHeld: reader.flag() }));
  reader.end();
  if (incoming.length >= AGENT_HEADER_BYTES) {
    const { buffer, byteOffset } = incoming;
    const length = new DataView(buffer, byteOffset).getUint32(8, true);
    if (
      AGENT_HEADER_BYTES + length > incomingMax ||
      AGENT_HEADER_BYTES + length <= incoming.length
    ) {
      reader.refuse(`has ${incoming.length} bytes of a frame of ${length}`);
    }
  }
  return {
    isUp,
    isDeaf,
    lastId,
    incoming,
    outgoing: outgoing.length === 0 ? [] : [outgoing],
    jobs,
  };
}
