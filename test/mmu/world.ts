/**
 * world: a rig with an address space in which everything can go wrong: data under several names,
 * tables that are mapped themselves, superpages, user pages, pages not there yet.
 *
 * Used by the suites of this folder.
 *
 *   physical   +0 stubs │ +1 MiB tables │ +2 MiB data, filled: page n holds n everywhere │ +4 MiB zero pages
 *   virtual    RAM itself (2 MiB superpages, S) │ STUBS for U │ WINDOW: pages of data │ WINDOW + 2 MiB: a superpage
 */
import type { Core } from "../../src/core/instance.ts";
import { STUBS_BYTES } from "./instructions.ts";
import { RAM } from "./reference.ts";
import { Rig } from "./rig.ts";
import { RWX, type SatpMode, Space, TablePages, USER } from "./tables.ts";

const MEBIBYTE = 0x10_0000n;
export const TABLES = RAM + MEBIBYTE;
export const DATA = RAM + 2n * MEBIBYTE;
export const ZEROS = RAM + 4n * MEBIBYTE;
export const RAM_PAGES = 2048;
export const WINDOW = 0x4000_0000n;
export const SUPERPAGE = WINDOW + 2n * MEBIBYTE;
/** Same TLB slots as WINDOW. */
export const WINDOW_FAR = WINDOW + 4n * MEBIBYTE;
export const NEGATIVE = (1n << 64n) - 0x4000_0000n;
export const USER_STUBS = 0x1000_0000n;
export const WINDOW_PAGES = 16;
/** Data pages that are filled; each holds its number in every doubleword. */
export const DATA_PAGES = 32;

/** What every doubleword of data page `page` holds: c.li a0, page (1-31) in each halfword. */
export function markOf(page: number): bigint {
  const half = BigInt(0x4501 | ((page & 31) << 2));
  return half | (half << 16n) | (half << 32n) | (half << 48n);
}

/** A rig with one address space, switched on for every hart. */
export interface World {
  readonly rig: Rig;
  readonly space: Space;
  readonly pages: TablePages;
}

/** Fills the data pages of a reference. */
function fillData(rig: Rig): void {
  for (let page = 0; page < DATA_PAGES; page++) {
    const words = new BigUint64Array(512).fill(markOf(page));
    rig.reference.ram.set(new Uint8Array(words.buffer), Number(DATA - RAM) + page * 4096);
  }
}

/** Maps what every address space of a world has: RAM for S, the stubs for U, the windows. */
export function makeSpace(pages: TablePages, mode: SatpMode): Space {
  const space = new Space(pages, mode);
  for (let at = 0n; at < 8n * MEBIBYTE; at += 2n * MEBIBYTE) space.map(RAM + at, RAM + at, RWX, 1);
  space.mapPages(USER_STUBS, RAM, STUBS_BYTES / 4096, RWX | USER);
  space.mapPages(WINDOW, DATA, WINDOW_PAGES, RWX);
  space.mapPages(WINDOW_FAR, DATA + 0x10000n, 4, RWX | USER);
  space.mapPages(NEGATIVE & ((1n << space.bits) - 1n), DATA, 4, RWX);
  space.map(SUPERPAGE, DATA, RWX, 1);
  return space;
}

/** Makes a world on a core. */
export function makeWorld(core: Core, mode: SatpMode, harts = 1): World {
  const rig = new Rig(core, { ramPages: RAM_PAGES, harts });
  fillData(rig);
  const pages = new TablePages(rig.reference, TABLES);
  const space = makeSpace(pages, mode);
  rig.loadAll();
  rig.stubs = (at) => (at === "U" && rig.state.satp !== 0n ? USER_STUBS : RAM);
  for (let hart = harts - 1; hart >= 0; hart--) {
    rig.turn(hart);
    rig.step("M", { kind: "satp", operand: space.satp });
  }
  return { rig, space, pages };
}
