/**
 * element: the page's elements by id.
 *
 * Used by main.ts and status.ts.
 */

/** The element `id` of index.html, which has it. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}
