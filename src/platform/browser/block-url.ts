/**
 * block-url: a disk on a web server, fetched piece by piece with range requests.
 *
 * Owns    a cache of the pieces used last.
 * Used by disk-source.ts and embedders.
 * Holds   every piece comes from the same version of the file, as far as the server tells versions
 *         apart (ETag); what does not is an I/O error for the guest.
 */
import { type BlockBackend, checkDiskBytes } from "../../device/block/contract.ts";
import { VmError } from "../../errors.ts";

const PIECE_BYTES = 128 << 10;
const PIECES_MAX = 128;

interface Piece {
  readonly bytes: Uint8Array;
  /** Size of the whole file. */
  readonly total: number;
  readonly version: string | null;
}

function refuse(url: string, why: string, cause?: unknown): never {
  throw new VmError("io", `disk ${url}: ${why}`, { cause });
}

async function bodyOf(url: string, response: Response): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    refuse(url, "its bytes broke off", cause);
  }
}

/** Fetches bytes [from, to] of a file. Throws "io", or "unsupported" without range requests. */
async function fetchRange(url: string, from: number, to: number): Promise<Piece> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { Range: `bytes=${from}-${to}` } });
  } catch (cause) {
    refuse(url, "cannot be fetched", cause);
  }
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  if (response.status !== 206 || range === null) {
    void response.body?.cancel();
    if (!response.ok) refuse(url, `HTTP status ${response.status}`);
    const accepted = "a server that answers ranges (206, Content-Range) is accepted";
    const text = `disk ${url}: HTTP status ${response.status} for a range of bytes; ${accepted}`;
    throw new VmError("unsupported", text);
  }
  const bytes = await bodyOf(url, response);
  const [first, last, total] = range.slice(1).map(Number);
  const isWhole = first === from && last === Math.min(to, total - 1);
  if (!isWhole || bytes.length !== last - first + 1) {
    refuse(url, `asked for bytes ${from} to ${to}, it gave ${bytes.length} from ${first}`);
  }
  return { bytes, total, version: response.headers.get("ETag") };
}

class UrlBackend implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly = true;
  readonly #url: string;
  readonly #version: string | null;
  /** By index; the one used last is last. */
  readonly #pieces = new Map<number, Promise<Uint8Array>>();

  constructor(url: string, first: Piece) {
    this.bytes = checkDiskBytes(first.total, `disk ${url}`);
    this.#url = url;
    this.#version = first.version;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const first = Math.floor(offset / PIECE_BYTES);
    const last = Math.floor((offset + target.length - 1) / PIECE_BYTES);
    const wanted: Promise<Uint8Array>[] = [];
    for (let index = first; index <= last; index++) wanted.push(this.#piece(index));
    const pieces = await Promise.all(wanted);
    pieces.forEach((piece, nth) => {
      const begin = (first + nth) * PIECE_BYTES - offset;
      const from = Math.max(0, -begin);
      target.set(piece.subarray(from, target.length - begin), begin + from);
    });
  }

  #piece(index: number): Promise<Uint8Array> {
    const piece = this.#pieces.get(index) ?? this.#fetch(index);
    this.#pieces.delete(index);
    this.#pieces.set(index, piece);
    for (const old of this.#pieces.keys()) {
      if (this.#pieces.size <= PIECES_MAX) break;
      this.#pieces.delete(old);
    }
    return piece;
  }

  #fetch(index: number): Promise<Uint8Array> {
    const from = index * PIECE_BYTES;
    const to = Math.min(from + PIECE_BYTES, this.bytes) - 1;
    const piece = fetchRange(this.#url, from, to).then(({ bytes, total, version }) => {
      if (total !== this.bytes || version !== this.#version) {
        refuse(this.#url, "the file has changed on the server");
      }
      return bytes;
    });
    // What failed is fetched again when it is asked for again.
    piece.catch(() => {
      if (this.#pieces.get(index) === piece) this.#pieces.delete(index);
    });
    return piece;
  }

  /** Throws "io": whoever shows this disk to a guest has told it that it is read-only. */
  write(offset: number, bytes: Uint8Array): never {
    refuse(this.#url, `write of ${bytes.length} bytes at ${offset}: the disk is read-only`);
  }

  /** Nothing was written. */
  flush(): void {}

  close(): void {
    this.#pieces.clear();
  }
}

/**
 * Opens a file on a web server as a read-only disk; nothing but what the guest reads is fetched. A
 * server of another origin must allow it (CORS) and expose the headers Content-Range and ETag.
 * Throws "io", "bad-file" for a size that no disk has, "unsupported" without range requests.
 */
export async function openUrlDisk(url: string | URL): Promise<BlockBackend> {
  const text = String(url);
  return new UrlBackend(text, await fetchRange(text, 0, 0));
}
