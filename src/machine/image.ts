/**
 * image: reads a RISC-V Linux Image: plain, gzip-compressed, or an EFI zboot wrapper around a
 * gzip-compressed one.
 *
 * Used by boot.ts. The header is in the kernel's Documentation/arch/riscv/boot-image-header.rst.
 * Holds   what is unpacked never exceeds the bytes allowed, whatever a stream claims.
 *
 *   0 code  8 text_offset  16 image_size  24 flags  32 version  48 "RISCV"  56 "RSC\x05"
 */
import { Gunzip } from "fflate";
import { VmError } from "../errors.ts";

/** A kernel ready to be placed. */
export interface KernelImage {
  readonly bytes: Uint8Array;
  /** Distance from a 2 MiB boundary at which it wants to lie. */
  readonly textOffset: number;
  /** Memory it takes, with its bss; at least bytes.length. */
  readonly memoryBytes: number;
}

const HEADER_BYTES = 64;
const MAGIC_AT = 0x38;
const MAGIC = 0x05435352;
const ZBOOT_MAGIC_AT = 4;
const ZBOOT_MAGIC = 0x676d697a;
const CHUNK_BYTES = 65536;

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function u64(bytes: Uint8Array, at: number): number {
  return u32(bytes, at + 4) * 0x1_0000_0000 + u32(bytes, at);
}

/** True when the bytes begin as a gzip member does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 18 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;
}

function isZboot(bytes: Uint8Array): boolean {
  const isExecutable = bytes.length >= HEADER_BYTES && bytes[0] === 0x4d && bytes[1] === 0x5a;
  return isExecutable && u32(bytes, ZBOOT_MAGIC_AT) === ZBOOT_MAGIC;
}

/** True when the bytes are a kernel that `parseImage` takes, to tell files apart. */
export function isImage(bytes: Uint8Array): boolean {
  if (isGzip(bytes) || isZboot(bytes)) return true;
  return bytes.length >= HEADER_BYTES && u32(bytes, MAGIC_AT) === MAGIC;
}

function join(chunks: readonly Uint8Array[], total: number): Uint8Array {
  const all = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Unpacks gzip, refusing to produce more than `bytesMax`. Throws "bad-file". */
export function gunzipLimited(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const stream = new Gunzip((chunk) => {
    total += chunk.length;
    if (total <= bytesMax) chunks.push(chunk);
  });
  try {
    for (let at = 0; at < bytes.length && total <= bytesMax; at += CHUNK_BYTES) {
      stream.push(bytes.subarray(at, at + CHUNK_BYTES), at + CHUNK_BYTES >= bytes.length);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VmError("bad-file", `gzip stream is truncated or corrupt: ${reason}`, { cause });
  }
  if (total > bytesMax) {
    throw new VmError("bad-file", `gzip stream unpacks to more than ${bytesMax} bytes`);
  }
  const claimed = u32(bytes, bytes.length - 4);
  if (claimed !== total % 0x1_0000_0000) {
    throw new VmError("bad-file", `gzip stream unpacks to ${total} bytes, its end says ${claimed}`);
  }
  return join(chunks, total);
}

function unwrapZboot(bytes: Uint8Array): Uint8Array {
  const at = u32(bytes, 8);
  const length = u32(bytes, 12);
  const kind = String.fromCharCode(...bytes.subarray(24, 56)).split("\0")[0];
  if (kind !== "gzip") {
    throw new VmError("bad-file", `EFI zboot kernel packed with "${kind}": accepted is gzip`);
  }
  if (at + length > bytes.length) {
    const given = `payload at bytes ${at} to ${at + length}`;
    throw new VmError("bad-file", `EFI zboot kernel: ${given}, the file has ${bytes.length}`);
  }
  return bytes.subarray(at, at + length);
}

/**
 * Reads an Image in any of its wrappings; unpacked it may have `bytesMax` bytes. Throws "bad-file".
 */
export function parseImage(file: Uint8Array, bytesMax: number): KernelImage {
  let bytes = file;
  if (isZboot(bytes)) bytes = unwrapZboot(bytes);
  if (isGzip(bytes)) bytes = gunzipLimited(bytes, bytesMax);
  if (bytes.length < HEADER_BYTES) {
    const text = `kernel of ${bytes.length} bytes: an Image has a header of ${HEADER_BYTES}`;
    throw new VmError("bad-file", text);
  }
  if (u32(bytes, MAGIC_AT) !== MAGIC) {
    const accepted = "accepted are a RISC-V Image (plain, gzip, EFI zboot) and an ELF64";
    throw new VmError("bad-file", `kernel has no "RSC\\x05" at byte 56: ${accepted}`);
  }
  if ((bytes[24] & 1) !== 0) throw new VmError("bad-file", "Image is big-endian");
  const imageBytes = u64(bytes, 16);
  return {
    bytes,
    textOffset: u64(bytes, 8),
    memoryBytes: Math.max(imageBytes, bytes.length),
  };
}
