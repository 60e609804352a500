/**
 * facts: what a snapshot says of its machine beside the machine's own sections: its shape, the wall
 * time, how its disks are held, what its maker wanted back.
 *
 * Owns    section "snapshot", version 1: JSON in UTF-8.
 * Used by make.ts, which writes it; back.ts, which reads it; migration/, for the shape.
 * Holds   it may come from anywhere: it is checked before anything of it is used.
 */
import type { DeviceSection } from "../device/contract.ts";
import { VmError } from "../errors.ts";
import type { MachineShapeFacts } from "../machine/capture.ts";

/** Name of the section. */
export const FACTS = "snapshot";
const VERSION = 1;
const BYTES_MAX = 1 << 20;
const LIST_MAX = 1024;
const TEXT_MAX = 256;

/** What a snapshot says of its machine. */
export interface SnapshotFacts {
  readonly shape: MachineShapeFacts;
  /** Of the host at that moment, ms since 1970. */
  readonly wallMs: number;
  /** By slot: all of the disk is in the snapshot; else what was written over a disk given again. */
  readonly wholeDisks: readonly boolean[];
  /** What its maker wanted back. */
  readonly origin: unknown;
}

/** The section. */
export function saveFacts(facts: SnapshotFacts): DeviceSection {
  const bytes = new TextEncoder().encode(JSON.stringify(facts));
  return { name: FACTS, version: VERSION, bytes };
}

function refuse(why: string): never {
  throw new VmError("bad-section", `section "${FACTS}" ${why}`);
}

/** Fields of a JSON object, each taken as what it must be. */
class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      refuse(`has no object in ${path}`);
    }
    this.#fields = value as Readonly<Record<string, unknown>>;
    this.#path = path;
  }

  #take<T>(name: string, is: (value: unknown) => boolean, what: string): T {
    const value = this.#fields[name];
    if (!is(value)) refuse(`has no ${what} in ${this.#path}.${name}`);
    return value as T;
  }

  any(name: string): unknown {
    return this.#fields[name];
  }

  flag(name: string): boolean {
    return this.#take(name, (value) => typeof value === "boolean", "true or false");
  }

  /** A short text. */
  text(name: string): string {
    const is = (value: unknown) => typeof value === "string" && value.length <= TEXT_MAX;
    return this.#take(name, is, "short text");
  }

  /** A whole number from 0. */
  count(name: string): number {
    const is = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
    return this.#take(name, is, "whole number");
  }

  choice<T extends string>(name: string, ...choices: readonly T[]): T {
    return this.#take(name, (value) => choices.includes(value as T), choices.join(" or "));
  }

  list<T>(name: string, read: (item: unknown, path: string) => T): T[] {
    const is = (value: unknown) => Array.isArray(value) && value.length <= LIST_MAX;
    const items = this.#take<unknown[]>(name, is, "list");
    return items.map((item, index) => read(item, `${this.#path}.${name}[${index}]`));
  }
}

/**
 * A shape that may come from anywhere. What it asks for is checked when a machine is made of it:
 * here only what kind of thing it is. Throws "bad-section".
 */
export function readShape(value: unknown): MachineShapeFacts {
  const fields = new Fields(value, "shape");
  return {
    ramBytes: fields.count("ramBytes"),
    harts: fields.count("harts"),
    quantum: fields.count("quantum"),
    mmu: fields.choice("mmu", "sv39", "sv48", "sv57"),
    clock: fields.choice("clock", "virtual", "host"),
    epochMs: fields.count("epochMs"),
    consoleDevice: fields.choice("consoleDevice", "uart", "virtio"),
    agent: fields.flag("agent"),
    devices: fields.list("devices", (item, path) => {
      const device = new Fields(item, path);
      return { kind: device.text("kind"), name: device.text("name") };
    }),
    customDevices: fields.list("customDevices", (item, path) => {
      const device = new Fields(item, path);
      const [kind, name] = [device.text("kind"), device.text("name")];
      return { kind, name, base: device.count("base"), irq: device.count("irq") };
    }),
    disks: fields.list("disks", (item, path) => {
      const disk = new Fields(item, path);
      return { bytes: disk.count("bytes"), isReadOnly: disk.flag("isReadOnly") };
    }),
  };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    refuse("is not JSON");
  }
}

/** The facts, and the sections that are the machine's. Throws "bad-section". */
export function readFacts(sections: readonly DeviceSection[]): {
  facts: SnapshotFacts;
  own: DeviceSection[];
} {
  const section = sections.find(({ name }) => name === FACTS);
  if (section === undefined) refuse("is missing");
  const { version, bytes } = section;
  if (version !== VERSION) refuse(`has version ${version}; accepted is ${VERSION}`);
  if (bytes.length > BYTES_MAX) refuse(`has ${bytes.length} bytes; accepted are ${BYTES_MAX}`);
  const fields = new Fields(parse(bytes), "it");
  const shape = readShape(fields.any("shape"));
  const wholeDisks = fields.list(
    "wholeDisks",
    (item, path) => item === true || refuseFlag(item, path),
  );
  if (wholeDisks.length !== shape.disks.length) refuse("does not agree about its disks");
  const facts = { shape, wallMs: fields.count("wallMs"), wholeDisks, origin: fields.any("origin") };
  return { facts, own: sections.filter((one) => one !== section) };
}

function refuseFlag(item: unknown, path: string): false {
  return item === false ? item : refuse(`has no true or false in ${path}`);
}
