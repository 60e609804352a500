/**
 * link-address: addresses of links under Node, and who can reach them.
 *
 * Used by links.ts, web-socket-link.ts, tcp-server.ts.
 * Holds   what travels as plain bytes stays on this host unless the caller says that it is meant.
 */
import { isIP } from "node:net";
import { VmError } from "../../errors.ts";

/** A port of a host. */
export interface PortAddress {
  readonly scheme: "tcp" | "tls" | "ws";
  /** A name or an address, the latter without brackets. */
  readonly host: string;
  readonly port: number;
}

/** A unix socket. */
export interface PathAddress {
  readonly scheme: "unix";
  /** From the root on. */
  readonly path: string;
}

const ACCEPTED =
  "accepted are tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH, ws://HOST:PORT/ and, to dial, " +
  "await://NAME (letters, digits, - and _)";
const PORT_MAX = 65535;

/** True for names and addresses that only this host reaches. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

/** An address as text. */
export function addressText(address: PortAddress | PathAddress): string {
  if (address.scheme === "unix") return `unix://${address.path}`;
  const { scheme, host, port } = address;
  const name = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${name}:${port}${scheme === "ws" ? "/" : ""}`;
}

/** Reads an address to dial or to listen at (port 0: any). Throws "bad-argument". */
export function parseAddress(text: string, isListening: boolean): PortAddress | PathAddress {
  const path = /^unix:\/\/(\/[^\0]*[^/\0])$/.exec(text)?.[1];
  if (path !== undefined) return { scheme: "unix", path };
  const found = /^(tcp|tls|ws):\/\/(?:\[([^\]]+)\]|([^\s:/[\]@?#]+)):(\d{1,5})(\/?)$/.exec(text);
  if (found === null) throw new VmError("bad-argument", `address "${text}"; ${ACCEPTED}`);
  const [, scheme, inBrackets, name, digits, slash] = found;
  const port = Number(digits);
  if (slash !== "" && scheme !== "ws") {
    throw new VmError("bad-argument", `address "${text}"; ${ACCEPTED}`);
  }
  if (inBrackets !== undefined && isIP(inBrackets) !== 6) {
    throw new VmError("bad-argument", `address "${text}": no IPv6 address; ${ACCEPTED}`);
  }
  const portMin = isListening ? 0 : 1;
  if (port < portMin || port > PORT_MAX) {
    const ports = `accepted are ports from ${portMin} to ${PORT_MAX}`;
    throw new VmError("bad-argument", `address "${text}": port ${port}; ${ports}`);
  }
  return { scheme: scheme as PortAddress["scheme"], host: inBrackets ?? name, port };
}

/** Throws "bad-argument" for an address that others reach and that takes plain bytes. */
export function checkPlain(address: PortAddress): void {
  if (address.scheme === "tls" || isLoopback(address.host)) return;
  const accepted =
    "plain bytes stay on this host: accepted are 127.0.0.1, ::1 and localhost, tls:// with " +
    "certificates, or the option isPlainAllowed";
  throw new VmError("bad-argument", `address ${addressText(address)}: ${accepted}`);
}

/** Why nothing can be had at an address. */
export function listenError(address: string, cause: NodeJS.ErrnoException): VmError {
  const isTaken = cause.code === "EADDRINUSE";
  const why = isTaken ? "another process has the port" : `it cannot be had (${cause.code})`;
  return new VmError(isTaken ? "busy" : "io", `${address}: ${why}`, { cause });
}

/** Why nobody was reached. */
export function dialError(address: string, cause: NodeJS.ErrnoException): VmError {
  return new VmError("io", `${address}: no link (${cause.code ?? cause.message})`, { cause });
}

/** Nobody has answered in time. */
export function dialTimeout(address: string, ms: number): VmError {
  return new VmError("io", `${address}: no link: nobody has answered for ${ms} ms`);
}
