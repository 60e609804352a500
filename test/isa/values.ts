/**
 * values: operands worth trying: the edges of every width, patterns, and a few seeded draws.
 *
 * Used by the suites of this folder.
 */

/** Edges of 8, 16, 32 and 64 bits, signed and unsigned, and bit patterns. */
export const EDGES: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  31n,
  32n,
  33n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0x80000001n,
  0xffffffffn,
  0x100000000n,
  0x7fffffff80000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0x8000000000000001n,
  0xffffffff7fffffffn,
  0xffffffff80000000n,
  0xfffffffffffffffen,
  0xffffffffffffffffn,
  0x5555555555555555n,
  0xaaaaaaaaaaaaaaaan,
  0x0102040810204080n,
  0x00ff00ff00ff00ffn,
];

/** `count` 64-bit numbers from a multiplicative generator; the same seed gives the same ones. */
export function drawn(count: number, seed = 1n): bigint[] {
  let state = BigInt.asUintN(64, seed * 0x9e3779b97f4a7c15n + 1n);
  return Array.from({ length: count }, (_, index) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    // The high bits are the good ones; every third draw is a short number.
    const mixed = state ^ (state >> 29n);
    return index % 3 === 2 ? mixed >> (state >> 58n) : mixed;
  });
}

/** Single operands. */
export const VALUES: readonly bigint[] = [...EDGES, ...drawn(40)];

/** All pairs of edges, and pairs of draws. */
export const PAIRS: readonly (readonly bigint[])[] = [
  ...EDGES.flatMap((a) => EDGES.map((b) => [a, b])),
  ...drawn(200, 2n).map((a, index, all) => [a, all[(index * 7 + 1) % all.length]]),
];
