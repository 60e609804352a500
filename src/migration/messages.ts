/**
 * messages: what the small messages of a migration say. Pages, blocks and hashes are in
 * page-message.ts.
 *
 * Used by source.ts, target.ts, manager.ts.
 * Holds   what is read may be hostile: every field is checked before anything of it is used.
 */
import { z } from "zod";
import { VmError } from "../errors.ts";
import type { MachineShapeFacts } from "../machine/capture.ts";
import { readShape } from "../snapshot/facts.ts";
import { RECORD_KINDS } from "./journal.ts";

const Hex16 = z.string().regex(/^[0-9a-f]{32}$/);
const Count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const Text = z.string().max(512);

/** Who calls: to bring a machine, or to talk about a session that both know. */
const Hello = z.object({
  versions: z.array(Count).min(1).max(64),
  session: Hex16,
  secret: Hex16,
  purpose: z.enum(["bring", "talk"]),
  machine: z.string().min(1).max(256),
  /** Where the caller is called back; empty when it is not. */
  address: Text,
});

const Welcome = z.object({ version: Count });

/** How a disk comes along. */
export const DISK_WAYS = ["shared", "carried"] as const;

const Init = z.object({
  shape: z.unknown(),
  sections: z.array(z.object({ name: z.string().max(255), version: Count })).max(2048),
  disks: z.array(z.object({ way: z.enum(DISK_WAYS), name: Text })).max(64),
  /** Pages that are not zero. */
  pages: Count,
  /** Under which pages are hashed in this session. */
  hashKey: Hex16,
  /** Whom of the target's ancestors it may be compared with. */
  lineage: Hex16,
  isPaused: z.boolean(),
});

const Accept = z.object({
  /** It has an ancestor of the machine: pages may be offered. */
  hasAncestor: z.boolean(),
});

const CODES = [
  "bad-argument",
  "bad-config",
  "bad-state",
  "bad-section",
  "bad-file",
  "busy",
  "io",
  "limit",
  "no-memory",
  "not-found",
  "unsupported",
] as const;
const Refuse = z.object({ code: z.enum(CODES), reason: z.string().max(4096) });

const RoundFacts = z.object({ round: Count, pages: Count, blocks: Count });

const Answer = z.object({
  /** Null: nothing is known of the session. */
  record: z.object({ kind: z.enum(RECORD_KINDS), fence: Count }).nullable(),
  /** The one who answers is still about to decide. */
  isOpen: z.boolean(),
});

const SCHEMAS = {
  hello: Hello,
  welcome: Welcome,
  init: Init,
  accept: Accept,
  refuse: Refuse,
  roundEnd: RoundFacts,
  roundAck: RoundFacts,
  answer: Answer,
} as const;

/** Messages that are JSON. */
export type JsonName = keyof typeof SCHEMAS;
/** What one of them says. */
export type JsonMessage<N extends JsonName> = z.infer<(typeof SCHEMAS)[N]>;

/** What the source says of its machine. */
export type InitFacts = Omit<JsonMessage<"init">, "shape"> & { readonly shape: MachineShapeFacts };

/** A message's body. */
export function encodeJson<N extends JsonName>(_name: N, message: JsonMessage<N>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

/** What a body says. Throws "bad-file". */
export function decodeJson<N extends JsonName>(name: N, body: Uint8Array): JsonMessage<N> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw new VmError("bad-file", `the other end of the migration sent a ${name} that is none`, {
      cause,
    });
  }
  const checked = SCHEMAS[name].safeParse(value);
  if (checked.success) return checked.data as JsonMessage<N>;
  const why = z.prettifyError(checked.error);
  throw new VmError("bad-file", `the other end of the migration sent a wrong ${name}: ${why}`);
}

/** The shape in an INIT. Throws "bad-section". */
export function initFacts(message: JsonMessage<"init">): InitFacts {
  return { ...message, shape: readShape(message.shape) };
}

/** What a refusal says, for the other end. */
export function refusalOf(error: unknown): JsonMessage<"refuse"> {
  const code = CODES.find((one) => error instanceof VmError && error.code === one) ?? "io";
  const reason = error instanceof Error ? error.message : String(error);
  return { code, reason: reason.slice(0, 4096) };
}
