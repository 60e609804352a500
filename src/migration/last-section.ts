/**
 * last-section: the message after which the source waits for the target: every section of the
 * machine, what else it is, and the sum over its pages.
 *
 * Used by source.ts, target.ts.
 * Holds   under post-copy it also says which pages stay behind: the sum is over the others. One
 *         SHA-256 is over all of it: snapshot/store/container.ts.
 */
import { z } from "zod";
import { VmError } from "../errors.ts";
import type { Section } from "../machine/capture.ts";
import { decodeContainer, encodeContainer } from "../snapshot/store/container.ts";

const NAME = "migration";
/** A bit for each page that is not there: page-bits.ts. */
const REMOTE = "migration-remote";
const VERSION = 1;
const HASH_BYTES = 16;

const Facts = z.object({ wallMs: z.number().nonnegative(), isPaused: z.boolean() });

/** What of the machine is in no section. */
export interface LastFacts {
  /** Of the source's host when the guest was stopped, ms since 1970. */
  readonly wallMs: number;
  readonly isPaused: boolean;
  /** Of page-hashes.ts. */
  readonly sum: Uint8Array;
  /** A bit for each page that stays behind; null without post-copy. */
  readonly remote: Uint8Array | null;
}

/** The message's body. */
export function encodeLast(sections: readonly Section[], facts: LastFacts): Uint8Array {
  const { wallMs, isPaused, sum, remote } = facts;
  const json = new TextEncoder().encode(JSON.stringify({ wallMs, isPaused }));
  const bytes = new Uint8Array(HASH_BYTES + json.length);
  bytes.set(sum);
  bytes.set(json, HASH_BYTES);
  const own: Section[] = [{ name: NAME, version: VERSION, bytes }];
  if (remote !== null) own.push({ name: REMOTE, version: VERSION, bytes: remote });
  return encodeContainer("MIGR", [...sections, ...own]);
}

/** What a body says. Throws "bad-file", "bad-section". */
export function decodeLast(body: Uint8Array): { sections: Section[]; facts: LastFacts } {
  const all = decodeContainer("MIGR", body, "the last section of the migration");
  const own = all.find(({ name }) => name === NAME);
  if (own === undefined || own.version !== VERSION || own.bytes.length < HASH_BYTES) {
    throw new VmError("bad-section", `section "${NAME}" is missing, or of a later version`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(own.bytes.subarray(HASH_BYTES)));
  } catch (cause) {
    throw new VmError("bad-section", `section "${NAME}" is not JSON`, { cause });
  }
  const checked = Facts.safeParse(value);
  if (!checked.success) throw new VmError("bad-section", `section "${NAME}" is wrong`);
  const remote = all.find(({ name }) => name === REMOTE);
  if (remote !== undefined && remote.version !== VERSION) {
    throw new VmError("bad-section", `section "${REMOTE}" is of a later version`);
  }
  const sections = all.filter((one) => one !== own && one !== remote).map((one) => ({ ...one }));
  const sum = own.bytes.slice(0, HASH_BYTES);
  return { sections, facts: { ...checked.data, sum, remote: remote?.bytes.slice() ?? null } };
}
