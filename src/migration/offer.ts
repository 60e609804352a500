/**
 * offer: pages that the target has from an ancestor of the machine are named by their hashes, and
 * not sent.
 *
 * Used by source.ts (`offerPages`), target.ts (`takeOffer`).
 * Holds   a page is taken for the same when 128 bits of a hash are, under a key that was drawn for
 *         the session. Only pages in the same place of an ancestor of the very machine are
 *         compared: who asks learns nothing about others.
 *
 *   OFFER  pages u32 ─ page numbers u32 each ─ hashes 16 bytes each
 *   HAVE   pages u32 ─ one bit for each, lowest first: the target has it
 */
import type { MachineView } from "../core/machine-view.ts";
import type { RetainedRoot } from "../core/root.ts";
import { VmError } from "../errors.ts";
import type { Channel } from "./channel.ts";
import type { PageHashes } from "./page-hashes.ts";
import type { SourceCommit } from "./source-commit.ts";
import { OFFER_PAGES } from "./wire.ts";

const SURVEY_PAGES = 64;
const WORDS = 4;

/** An offer as it was made: the answer is about it. */
interface Offered {
  readonly pages: Uint32Array;
  readonly hashes: Uint32Array;
}

/** Offers of the pages of a root, ascending. Throws "bad-state" for one that is not in memory. */
function* offersOf(root: RetainedRoot, pages: Uint32Array, key: Uint8Array): Generator<Offered> {
  for (let at = 0; at < pages.length; at += OFFER_PAGES) {
    const some = pages.slice(at, at + OFFER_PAGES);
    const hashes = new Uint32Array(some.length * WORDS);
    for (let from = 0; from < some.length; from += SURVEY_PAGES) {
      const part = some.subarray(from, from + SURVEY_PAGES);
      const found = root.survey(part, key);
      if (found.addresses.length < part.length) {
        const page = part[found.addresses.length];
        throw new VmError("bad-state", `page ${page} is not in memory`);
      }
      hashes.set(found.hashes, from * WORDS);
    }
    yield { pages: some, hashes };
  }
}

/** Sends an offer. */
function sendOffer(channel: Channel, { pages, hashes }: Offered): Promise<void> {
  const words = new Uint32Array(1 + pages.length + hashes.length);
  words[0] = pages.length;
  words.set(pages, 1);
  words.set(hashes, 1 + pages.length);
  return channel.send("offer", new Uint8Array(words.buffer));
}

/** What the answer to an offer says is put into the list. Throws "bad-file". */
function takeAnswer(body: Uint8Array, offered: Offered, hashes: PageHashes): void {
  const { pages } = offered;
  const own = body.slice();
  const count = own.length < 4 ? 0 : new DataView(own.buffer).getUint32(0, true);
  if (count !== pages.length || own.length !== 4 + Math.ceil(count / 8)) {
    throw new VmError("bad-file", `the target answered an offer of ${pages.length} with ${count}`);
  }
  for (let index = 0; index < count; index++) {
    if ((own[4 + (index >> 3)] & (1 << (index & 7))) === 0) continue;
    hashes.set(pages[index], offered.hashes, index * WORDS);
  }
}

/** What offers are made of, and over. */
export interface OfferParts {
  readonly channel: Channel;
  readonly commit: SourceCommit;
  readonly root: RetainedRoot;
  /** Those of the root that are not zero, ascending. */
  readonly pages: Uint32Array;
  /** As PageCodec.hashKey gives it. */
  readonly key: Uint8Array;
  /** What the target has. */
  readonly hashes: PageHashes;
  /** Throws when it is to end. */
  check(): void;
}

/** What the target has from an ancestor goes into the list. Throws as `check` does, "io". */
export async function offerPages(parts: OfferParts): Promise<void> {
  const { channel, commit, root, pages, key, hashes, check } = parts;
  const open: Offered[] = [];
  let onAnswer = () => {};
  commit.onRound = (name, body) => {
    const offered = name === "have" ? open.shift() : undefined;
    if (offered === undefined) throw new VmError("bad-file", `the target sent ${name}`);
    takeAnswer(body, offered, hashes);
    onAnswer();
  };
  const isOver = commit.word(["refuse"]).then(({ why }) => {
    throw new VmError("io", why);
  });
  isOver.catch(() => {}); // told by the race below
  for (const offered of offersOf(root, pages, key)) {
    open.push(offered);
    await sendOffer(channel, offered);
    check();
  }
  while (open.length > 0) {
    const answered = new Promise<void>((resolve) => {
      onAnswer = resolve;
    });
    await Promise.race([answered, isOver]);
    check();
  }
}

/** At the target: what of an offer is there; its own list has it then. Throws "bad-file". */
export function takeOffer(
  body: Uint8Array,
  view: MachineView,
  key: Uint8Array,
  hashes: PageHashes,
): Uint8Array {
  const own = body.slice();
  const words = new Uint32Array(own.buffer, 0, own.length >> 2);
  const count = words[0] ?? 0;
  if (count > OFFER_PAGES || own.length !== 4 * (1 + count * (1 + WORDS))) {
    throw new VmError("bad-file", `the source sent an offer of ${count} in ${own.length} bytes`);
  }
  const pages = words.subarray(1, 1 + count);
  for (const page of pages) {
    if (page < view.ramPages) continue;
    throw new VmError("bad-file", `the source offered page ${page} of ${view.ramPages}`);
  }
  const answer = new Uint8Array(4 + Math.ceil(count / 8));
  new DataView(answer.buffer).setUint32(0, count, true);
  const root = view.lendRoot();
  for (let from = 0; from < count; from += SURVEY_PAGES) {
    const part = pages.subarray(from, from + SURVEY_PAGES);
    const found = root.survey(part, key);
    for (let index = 0; index < found.addresses.length; index++) {
      const at = 1 + count + (from + index) * WORDS;
      const isSame = (lane: number) => found.hashes[index * WORDS + lane] === words[at + lane];
      if (found.addresses[index] === 0) continue;
      if (!isSame(0) || !isSame(1) || !isSame(2) || !isSame(3)) continue;
      hashes.set(part[index], words, at);
      answer[4 + ((from + index) >> 3)] |= 1 << ((from + index) & 7);
    }
  }
  return answer;
}
