/**
 * ambient: the globals that every JavaScript host shares but that TypeScript declares only in its
 * DOM library.
 *
 * Owns    nothing at run time. Used by src/ outside the platform folders.
 * Holds   no more than what is used: a global that is missing here does not compile, which is the
 *         point.
 */

declare namespace WebAssembly {
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
  }

  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer;
  }

  class Module {
    constructor(bytes: Uint8Array);
  }

  function compile(bytes: ArrayBufferView): Promise<Module>;

  class Table {}

  class Instance {
    readonly exports: Record<string, unknown>;
  }
}

type BufferSource = ArrayBuffer | ArrayBufferView;
interface Response {
  readonly ok: boolean;
}

declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string;
}

declare function atob(base64: string): string;
declare function btoa(bytes: string): string;
