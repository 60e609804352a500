/**
 * page-columns: which page of a region is where: three columns, ascending by page.
 *
 * Used by manifest.ts, writer.ts, reader.ts and whatever works on snapshots as a whole.
 * Holds   pages ascend strictly. Where a page's segment is NOWHERE, the page is zeros, and its slot
 *         is 0. Segments are numbers that the store gave them, not those of a file.
 */

/** Segment of a page of zeros. */
export const NOWHERE = 0xffffffff;

/** Places of the pages of one region. Nobody changes them: several may hold the same ones. */
export interface PageColumns {
  readonly pages: Uint32Array;
  readonly segments: Uint32Array;
  readonly slots: Uint32Array;
}

/** By region. */
export type Regions = ReadonlyMap<number, PageColumns>;

const NONE: PageColumns = {
  pages: new Uint32Array(0),
  segments: new Uint32Array(0),
  slots: new Uint32Array(0),
};

/** The columns of a region, empty when there are none. */
export function columnsOf(regions: Regions, region: number): PageColumns {
  return regions.get(region) ?? NONE;
}

/** Regions of either, ascending. */
export function regionNumbers(...all: readonly Regions[]): number[] {
  return [...new Set(all.flatMap((one) => [...one.keys()]))].sort((a, b) => a - b);
}

/** Columns that grow. */
export class ColumnsBuilder {
  #pages = new Uint32Array(256);
  #segments = new Uint32Array(256);
  #slots = new Uint32Array(256);
  #count = 0;
  #isAscending = true;

  add(page: number, segment: number, slot: number): void {
    if (this.#count === this.#pages.length) this.#grow();
    if (this.#count > 0 && this.#pages[this.#count - 1] >= page) this.#isAscending = false;
    this.#pages[this.#count] = page;
    this.#segments[this.#count] = segment;
    this.#slots[this.#count++] = slot;
  }

  #grow(): void {
    const larger = (from: Uint32Array): Uint32Array<ArrayBuffer> => {
      const to = new Uint32Array(from.length * 2);
      to.set(from);
      return to;
    };
    this.#pages = larger(this.#pages);
    this.#segments = larger(this.#segments);
    this.#slots = larger(this.#slots);
  }

  /** The columns; of a page that was added twice the later. */
  finish(): PageColumns {
    const count = this.#count;
    const all = {
      pages: this.#pages.slice(0, count),
      segments: this.#segments.slice(0, count),
      slots: this.#slots.slice(0, count),
    };
    if (this.#isAscending) return all;
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    order.sort((a, b) => all.pages[a] - all.pages[b] || a - b);
    const sorted = new ColumnsBuilder();
    for (let at = 0; at < count; at++) {
      const index = order[at];
      if (at + 1 < count && all.pages[order[at + 1]] === all.pages[index]) continue;
      sorted.add(all.pages[index], all.segments[index], all.slots[index]);
    }
    return sorted.finish();
  }
}

/** Walks two columns by page: the place in each, or -1 where one does not have the page. */
export function walkBoth(
  a: PageColumns,
  b: PageColumns,
  visit: (page: number, atA: number, atB: number) => void,
): void {
  let atA = 0;
  let atB = 0;
  while (atA < a.pages.length || atB < b.pages.length) {
    const pageA = atA < a.pages.length ? a.pages[atA] : NOWHERE;
    const pageB = atB < b.pages.length ? b.pages[atB] : NOWHERE;
    if (pageA < pageB) visit(pageA, atA++, -1);
    else if (pageB < pageA) visit(pageB, -1, atB++);
    else visit(pageA, atA++, atB++);
  }
}

/** True when both places are one, or both pages zeros; -1 stands for a page of zeros. */
export function isSamePlace(a: PageColumns, atA: number, b: PageColumns, atB: number): boolean {
  const segment = atA < 0 ? NOWHERE : a.segments[atA];
  if (segment !== (atB < 0 ? NOWHERE : b.segments[atB])) return false;
  return segment === NOWHERE || a.slots[atA] === b.slots[atB];
}

/** What `top` makes of `base`. `isFirst`: nothing lies below, so that pages of zeros go. */
export function overlay(base: PageColumns, top: PageColumns, isFirst: boolean): PageColumns {
  if (top.pages.length === 0 && !(isFirst && base.segments.includes(NOWHERE))) return base;
  const built = new ColumnsBuilder();
  walkBoth(base, top, (page, atBase, atTop) => {
    const from = atTop >= 0 ? top : base;
    const at = atTop >= 0 ? atTop : atBase;
    if (isFirst && from.segments[at] === NOWHERE) return;
    built.add(page, from.segments[at], from.slots[at]);
  });
  return built.finish();
}

/** `overlay` of every region. */
export function overlayRegions(base: Regions, top: Regions, isFirst: boolean): Regions {
  const all = new Map<number, PageColumns>();
  for (const region of regionNumbers(base, top)) {
    const made = overlay(columnsOf(base, region), columnsOf(top, region), isFirst);
    if (made.pages.length > 0) all.set(region, made);
  }
  return all;
}

/** Of `top`, what is not so in `base` already. */
export function without(base: PageColumns, top: PageColumns): PageColumns {
  const built = new ColumnsBuilder();
  walkBoth(base, top, (page, atBase, atTop) => {
    if (atTop < 0 || isSamePlace(base, atBase, top, atTop)) return;
    built.add(page, top.segments[atTop], top.slots[atTop]);
  });
  return built.finish();
}

/** Of `asked`, ascending, what the first of `layers` says that names a page; of others: zeros. */
export function lookUp(layers: readonly PageColumns[], asked: Uint32Array): PageColumns {
  const segments = new Uint32Array(asked.length).fill(NOWHERE);
  const slots = new Uint32Array(asked.length);
  let left = Uint32Array.from(asked, (_, index) => index);
  for (const layer of layers) {
    if (layer.pages.length === 0) continue;
    let at = 0;
    left = left.filter((index) => {
      const found = findPage(layer, asked[index], at);
      if (found < 0) return true;
      at = found;
      segments[index] = layer.segments[found];
      slots[index] = layer.slots[found];
      return false;
    });
  }
  return { pages: asked, segments, slots };
}

/** Pages that any region of these names. */
export function pageCount(regions: Regions): number {
  let count = 0;
  for (const { pages } of regions.values()) count += pages.length;
  return count;
}

/** The place of a page in its columns, or -1. It is not before `from`. */
export function findPage({ pages }: PageColumns, page: number, from = 0): number {
  let low = from;
  let high = pages.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    if (pages[middle] === page) return middle;
    if (pages[middle] < page) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
