/**
 * await-name: how links are made to a process that cannot be dialed, such as a page: it dials
 * ws://HOST:PORT/await/NAME and keeps quiet, and who listens there dials await://NAME.
 *
 * Used by node/links.ts, node/web-socket-link.ts, browser/socket-link.ts.
 */

const NAME = "[A-Za-z0-9_-]{1,64}";

/** The name in a path /await/NAME; null for any other. */
export function nameInPath(path: string): string | null {
  return new RegExp(`^/await/(${NAME})$`).exec(path)?.[1] ?? null;
}

/** The name of an address await://NAME; null for any other. */
export function awaitedName(address: string): string | null {
  return new RegExp(`^await://(${NAME})$`).exec(address)?.[1] ?? null;
}

/** The address by which somebody who waits is dialed. */
export function awaitAddress(name: string): string {
  return `await://${name}`;
}
