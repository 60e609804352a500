/**
 * guests: the one that is built in, and those whose files are served beside the page.
 *
 * Used by main.ts.
 * Holds   guests/index.json names the folders under guests/ that are there; each has the
 *         manifest.json of a prepared guest, which names its files.
 */
import { BUILTIN_GUEST_NAME, builtinGuest } from "rivulet/browser";

/** What a machine boots. */
export interface GuestFiles {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly append?: string;
}

/** Tells how much of all there is to load has come, 0 to 1. */
export type Progress = (part: number) => void;

interface Manifest {
  readonly kernel: string;
  readonly initrd: string;
  readonly append: string;
  readonly files: Readonly<Record<string, { readonly bytes: number }>>;
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return response.json();
}

/** Names of the guests that can be booted here, the built-in one first. */
export async function listGuests(): Promise<readonly string[]> {
  const served = (await fetchJson("guests/index.json").catch(() => [])) as readonly string[];
  return [BUILTIN_GUEST_NAME, ...served];
}

async function fetchFile(url: string, come: (bytes: number) => void): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) {
    throw new Error(`${url}: HTTP status ${response.status}`);
  }
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    come(value.length);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

async function loadServed(name: string, progress: Progress): Promise<GuestFiles> {
  const folder = `guests/${encodeURIComponent(name)}/`;
  const manifest = (await fetchJson(`${folder}manifest.json`)) as Manifest;
  const names = [manifest.kernel, manifest.initrd].filter((file) => file !== "");
  const total = names.reduce((sum, file) => sum + manifest.files[file].bytes, 0);
  let loaded = 0;
  const come = (bytes: number) => {
    loaded += bytes;
    progress(Math.min(1, loaded / total));
  };
  const [kernel, initrd] = await Promise.all(
    names.map((file) => fetchFile(folder + encodeURIComponent(file), come)),
  );
  return { kernel, initrd, append: manifest.append };
}

/** The files of a guest. Throws when they cannot be fetched. */
export async function loadGuest(name: string, progress: Progress): Promise<GuestFiles> {
  if (name === BUILTIN_GUEST_NAME) return { kernel: builtinGuest() };
  return loadServed(name, progress);
}
