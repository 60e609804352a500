/**
 * links: links between hosts under Node: TCP, TLS, unix sockets, WebSocket.
 *
 * Used by src/node.ts.
 * Holds   over TLS both ends have a certificate of the same authority; plain bytes stay on this
 *         host unless the caller says that it is meant.
 */
import { X509Certificate } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import {
  createSecureContext,
  createServer as createTlsServer,
  connect as tlsConnect,
} from "node:tls";
import { VmError } from "../../errors.ts";
import { awaitedName } from "../await-name.ts";
import type { ByteLink, LinkDoor, LinkListener } from "../link.ts";
import {
  addressText,
  checkPlain,
  dialError,
  dialTimeout,
  listenError,
  type PathAddress,
  type PortAddress,
  parseAddress,
} from "./link-address.ts";
import { ReadBuffer, SocketLink, withBuffer } from "./socket-link.ts";
import { listenUnix, socketAddress } from "./unix-socket.ts";
import { WaitingRoom } from "./waiting-room.ts";

const DIAL_MS = 10_000;
/** After 2^31 - 1 ms a timer of Node fires at once. */
const DIAL_MS_MAX = 2 ** 31 - 1;

/** What one end of tls:// links shows and asks for, as PEM text. */
export interface LinkCertificates {
  /** The authority that has signed the other end's certificate; no other is trusted. */
  readonly ca: string;
  /** What this end shows, with the certificates between it and the authority, if any. */
  readonly cert: string;
  /** The private key of `cert`. */
  readonly key: string;
}

/** How links are made. */
export interface NodeLinkOptions {
  /** Needed for tls:// addresses. */
  readonly tls?: LinkCertificates;
  /** Plain bytes (tcp://, ws://) may leave this host: whoever is on the way reads the guest. */
  readonly isPlainAllowed?: boolean;
  /** How long `dial` waits for an answer, handshakes included; 10 s unless given. */
  readonly dialMs?: number;
}

/** The options of both ends of a tls:// link. Throws "bad-argument". */
function tlsOptions(tls: LinkCertificates | undefined) {
  const accepted = "accepted are ca, cert and key as PEM text";
  if (tls === undefined) {
    throw new VmError("bad-argument", `a tls:// address without certificates; ${accepted}`);
  }
  const { ca, cert, key } = tls;
  try {
    new X509Certificate(ca); // without one, Node would trust the authorities of the web
    createSecureContext({ ca, cert, key });
    new X509Certificate(cert);
  } catch (cause) {
    throw new VmError("bad-argument", `certificates that cannot be used; ${accepted}`, { cause });
  }
  return { ca, cert, key, minVersion: "TLSv1.3", rejectUnauthorized: true } as const;
}

/** The link over a socket that connects, when `event` says that it has. */
function connected(
  socket: Socket,
  event: "connect" | "secureConnect",
  { peer, ms, buffer }: { peer: string; ms: number; buffer: ReadBuffer | null },
): Promise<ByteLink> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(dialTimeout(peer, ms)), ms);
    const onError = (cause: NodeJS.ErrnoException) => fail(dialError(peer, cause));
    socket.once("error", onError);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off("error", onError);
      resolve(new SocketLink(socket, peer, buffer));
    });
  });
}

function dialSocket(
  address: PortAddress | PathAddress,
  ms: number,
  tls: LinkCertificates | undefined,
): Promise<ByteLink> {
  const peer = addressText(address);
  if (address.scheme === "tls") {
    const { host, port } = address;
    const socket = tlsConnect({ host, port, ...tlsOptions(tls) });
    // no buffer: what is decrypted comes in pieces even when the reading was stopped
    return connected(socket, "secureConnect", { peer, ms, buffer: null });
  }
  const buffer = new ReadBuffer();
  if (address.scheme !== "unix") {
    const { host, port } = address;
    const socket = connect({ host, port, onread: buffer.options });
    return connected(socket, "connect", { peer, ms, buffer });
  }
  const place = socketAddress(address.path);
  const socket = connect({ path: place.address, onread: buffer.options });
  return connected(socket, "connect", { peer, ms, buffer }).finally(place.close);
}

function listenPort(server: Server, address: PortAddress): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(addressText(address), cause)));
    server.listen({ host: address.host, port: address.port }, () => {
      server.on("error", () => {});
      const had = server.address();
      const port = typeof had === "object" && had !== null ? had.port : address.port;
      resolve(addressText({ ...address, port }));
    });
  });
}

async function listenSocket(
  address: PortAddress | PathAddress,
  { tls, dialMs = DIAL_MS }: NodeLinkOptions,
  onLink: (link: ByteLink) => void,
): Promise<LinkListener> {
  const isTls = address.scheme === "tls";
  const server = isTls
    ? createTlsServer({ ...tlsOptions(tls), requestCert: true, handshakeTimeout: dialMs })
    : createServer({ pauseOnConnect: true });
  let isClosed = false;
  server.on(isTls ? "secureConnection" : "connection", (socket: Socket) => {
    if (isClosed) {
      socket.destroy();
      return;
    }
    const { remoteAddress: host = "unknown", remotePort: port = 0 } = socket;
    const peer = address.scheme === "unix" ? address : { ...address, host, port };
    if (isTls) onLink(new SocketLink(socket, addressText(peer), null));
    else {
      const read = withBuffer(socket);
      onLink(new SocketLink(read.socket, addressText(peer), read.buffer));
    }
  });
  if (address.scheme === "unix") {
    const door = await listenUnix(server, address.path);
    return { address: addressText(address), close: async () => door.close() };
  }
  return {
    address: await listenPort(server, address),
    close: async () => {
      isClosed = true;
      server.close(); // the port is free at once; links stay
    },
  };
}

/** Loaded when it is asked for: most runs of the binary speak no WebSocket. */
const webSockets = () => import("./web-socket-link.ts");

/**
 * Links of this Node process: `tcp://HOST:PORT`, `tls://HOST:PORT` (TLS 1.3, certificates at both
 * ends), `unix:///PATH` (a socket of mode 0600), `ws://HOST:PORT/`. Listening, port 0 takes any
 * that is free. Who cannot be dialed, such as a page, connects to `ws://HOST:PORT/await/NAME` of a
 * listener of this door, and is dialed as `await://NAME`. Plain bytes beyond this host are refused
 * unless `isPlainAllowed`; so is a web page of another host over ws://. A dial over tls:// resolves
 * before the other end has looked at our certificate: a link whose certificate it does not take is
 * closed soon after.
 */
export function nodeLinks(options: NodeLinkOptions = {}): LinkDoor {
  const { tls, isPlainAllowed = false, dialMs = DIAL_MS } = options;
  if (!(Number.isInteger(dialMs) && dialMs >= 1 && dialMs <= DIAL_MS_MAX)) {
    const accepted = `accepted are integers from 1 to ${DIAL_MS_MAX}`;
    throw new VmError("bad-argument", `dialMs ${dialMs}; ${accepted}`);
  }
  const place = (text: string, isListening: boolean) => {
    const address = parseAddress(text, isListening);
    if (address.scheme !== "unix" && !isPlainAllowed) checkPlain(address);
    return address;
  };
  const room = new WaitingRoom();
  return {
    async dial(text) {
      const name = awaitedName(text);
      if (name !== null) return room.dial(name, dialMs);
      const address = place(text, false);
      if (address.scheme !== "ws") return dialSocket(address, dialMs, tls);
      return (await webSockets()).dialWebSocket(address, dialMs);
    },
    async listen(text, onLink) {
      const address = place(text, true);
      if (address.scheme !== "ws") return listenSocket(address, options, onLink);
      const isOpen = isPlainAllowed;
      return (await webSockets()).listenWebSocket(address, { isOpen, room, onLink });
    },
  };
}
